"""Text that a Spanish encoder was not made for: other languages, split accents, broken encodings.

A language is told by its commonest words alone, those that the neighbours of Spanish do not share:
a text counts as another language where that one has more of them than Spanish, and two at least.
So short texts pass for Spanish, names and all; a share is what it is good for, not a verdict on one
text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_COMMON = {
    "Spanish": "los y las el del con por para su sus lo pero más muy ya sin hay porque fue son "
    "está han qué una como al también este eso cuando",
    "English": "the and of to is in that it was for with you this are have not be on my they",
    "Portuguese": "não uma você com os das dos são mais muito também foi isso ele seu pela em ao",
    "Catalan": "amb els és i per això aquest són dels també molt aquesta però seva amb pel",
    "French": "les des est dans pour pas vous nous avec sur qui au ce cette et une du je",
    "Italian": "che di il è gli della sono più anche questo nel per non dei alla una",
    "German": "der die und das ist nicht ein eine mit zu auf den von für im sich",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_END = "\u024f"
_BROKEN = re.compile("Ã[¡-¿±\u00ad]|Â[¿¡ºª]|â€")
"""UTF-8 that somebody read as Latin-1: `Ã±` for ñ, `Â¿` for ¿, `â€œ` for a quotation mark."""

_LOOKED_AT = 2000


def judge_texts(texts: Sequence[str]) -> dict[str, float]:
    """Return the shares of texts that are not Spanish as an encoder has read it; zeros left out.

    Keys are languages, `another script`, `decomposed` (an accent is a character of its own, as
    Unicode's NFD writes it) and `broken` (UTF-8 read as Latin-1). At most 2,000 texts are looked
    at, evenly spread.
    """
    step = max(1, len(texts) // _LOOKED_AT)
    looked = [text for text in texts[::step] if text.strip()]
    counts: Counter[str] = Counter()
    for text in looked:
        if language := _foreign_language(text):
            counts[language] += 1
        counts["decomposed"] += not unicodedata.is_normalized("NFC", text)
        counts["broken"] += bool(_BROKEN.search(text))
    return {what: count / len(looked) for what, count in counts.most_common() if count}


def _foreign_language(text: str) -> str:
    """Return the language of a text where it is hardly Spanish, else ""."""
    words = [word.lower() for word in _WORD.findall(text)]
    letters = "".join(words)
    if sum(letter > _LATIN_END for letter in letters) > len(letters) / 2:
        return "another script"

    known = {language: sum(w in common for w in words) for language, common in _WORDS.items()}
    best = max(known, key=lambda language: known[language])
    return best if known[best] > known["Spanish"] and known[best] >= 2 else ""
