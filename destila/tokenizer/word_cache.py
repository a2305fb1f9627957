"""Ids of running text by looking up its words, where a tokenizer treats a word alike everywhere.

Text repeats its words, and a tokenizer that splits at blanks before anything else gives a word the
same pieces every time; so only words not met before are encoded. Whether that holds is read from
the tokenizer's own parts; texts with characters that normalisation could carry across a blank, or
that could spell a special token, are encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from destila.tokenizer.spec import Json, steps
from destila.tokenizer.tokenizer import Tokenizer

_WORDS = 200_000  # words held, about 50 MB; with more, all are forgotten
_PLAIN = re.compile(r"[ -;=?@A-Z^-~¡¿«»À-ſ–—‘’“”…]*")  # without < > [ ] \
_NORMALISERS = {
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "StripAccents",
    "Strip",
    "BertNormalizer",
    "Precompiled",
}
_BLANKS = {r"\s+", " {2,}"}


class WordCache:
    """Gives `Tokenizer.ids`, faster.

    applies: whether words can be looked up; else every text is encoded whole.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        spec = tokenizer.content()[0]
        self.applies = is_wordwise(spec)
        self._added = tuple(token["content"].lower() for token in spec["added_tokens"])
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, as `Tokenizer.ids` does."""
        if not self.applies:
            return self._tokenizer.ids(texts)

        # Texts that are not plain are encoded whole, the words of the others are looked up.
        plain = [self._is_plain(text) for text in texts]
        marked = list(zip(texts, plain, strict=True))
        whole = iter(self._tokenizer.ids([text for text, is_plain in marked if not is_plain]))
        words = [text.split() if is_plain else [] for text, is_plain in marked]
        known = self._learn(words)

        joined = (list(chain.from_iterable(map(known.__getitem__, row))) for row in words)
        return [
            of_words if is_plain else next(whole)
            for of_words, is_plain in zip(joined, plain, strict=True)
        ]

    def _is_plain(self, text: str) -> bool:
        """Tell whether neither normalisation nor an added token reaches across a text's blanks.

        An added token may be a plain `-`, in some vocabularies.
        """
        if _PLAIN.fullmatch(text) is None:
            return False
        lowered = text.lower()
        return not any(token in lowered for token in self._added)

    def _learn(self, texts: list[list[str]]) -> dict[str, list[int]]:
        """Encode the words that are new, and return all that are known."""
        if len(self._known) > _WORDS:
            self._known = {}
        new = list(set(chain.from_iterable(texts)).difference(self._known))
        self._known.update(zip(new, self._tokenizer.ids(new), strict=True))
        return self._known


def is_wordwise(spec: Json) -> bool:
    """Tell whether a tokenizer.json splits at blanks first and marks every word's start alike."""
    splits = steps(spec["pre_tokenizer"])
    first = splits[0] if splits else {"type": ""}
    if first["type"] == "Metaspace":
        at_blanks = bool(first["prepend_scheme"] == "always" and first["split"])
    else:
        at_blanks = first["type"] in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
    return at_blanks and all(map(_stays_in_words, steps(spec["normalizer"])))


def _stays_in_words(step: Json) -> bool:
    """Tell whether a step of normalisation does the same to a word alone as within a text."""
    if step["type"] != "Replace":
        return step["type"] in _NORMALISERS
    pattern = next(iter(step["pattern"].values()))
    return pattern in _BLANKS or not re.search(r"[\s\\]", pattern)
