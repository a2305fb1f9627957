"""EAGLES tags of the CESS-ESP treebank -> universal parts of speech, and its tokens -> UD's words.

CESS-ESP is AnCora's ancestor with another tokenisation. UD AnCora splits multiword tokens
(`a_pesar_de`), contractions (`del` = de + el) and clitics of infinitives and gerunds (`darlo` =
dar + lo); `ud_words` does the same. Words of one contraction or one verb share their surface.
Clitics of imperatives stay on the verb: without a lexicon, `hable` cannot be told from `di` +
`le`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

UPOS_OF = {
    "np": "PROPN", "n": "NOUN", "s": "ADP", "dn": "NUM", "d": "DET", "f": "PUNCT",
    "va": "AUX", "vs": "AUX", "v": "VERB", "a": "ADJ", "cc": "CCONJ", "c": "SCONJ",
    "pn": "NUM", "p": "PRON", "r": "ADV", "zm": "NOUN", "z": "NUM", "w": "NOUN",
    "i": "INTJ", "y": "NOUN", "x": "X",
}  # fmt: skip
"""By the first two letters, else the first. UD has dates (`w`) and amounts (`zm`) as nouns."""

MODAL = frozenset({"poder", "deber", "estar"})
"""Main verbs in CESS, auxiliaries in UD; so is `ir` before a verb without tense."""

BRACKETS = {"-Fpa-": "(", "-Fpt-": ")"}
FUNCTION = ("ADP", "DET", "CCONJ")
_CLITIC = "nos|os|me|te|se|los|las|les|lo|la|le"
_VERB_AND_CLITICS = re.compile(f"(.+(?:r|ndo))((?:{_CLITIC})+)")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A token of the treebank: EAGLES tag, form, lemma."""

    tag: str
    form: str
    lemma: str


Word = tuple[str, tuple[str, ...]]
"""A surface and the tags of the words it stands for."""


def upos(leaf: Leaf, following: Sequence[Leaf] = ()) -> str:
    """Return the universal tag of a single token.

    `following` are the next tokens, which decide about `ir`.
    """
    tag = leaf.tag.lower()

    # `lo que`: an article to EAGLES, a pronoun to UD.
    if tag.startswith("da") and leaf.form.lower() == "lo":
        return "PRON"

    # `poder`, `deber`, `estar`, and `ir` before a verb.
    is_auxiliary = leaf.lemma in MODAL or (leaf.lemma == "ir" and _before_verb(following))
    if tag.startswith("vm") and is_auxiliary:
        return "AUX"
    return UPOS_OF.get(tag[:2]) or UPOS_OF.get(tag[:1], "X")


def _before_verb(following: Sequence[Leaf]) -> bool:
    """Tell whether a verb without tense follows, at once or after a preposition."""
    tags = [leaf.tag[:3] for leaf in following[:2]]
    if tags[:1] in (["vmn"], ["vsn"], ["van"], ["vmg"]):
        return True
    return len(tags) == 2 and tags[0][:2] == "sp" and tags[1] in ("vmn", "vsn", "van")


def written_words(form: str) -> list[str]:
    """Return the written words of a token: `a_pesar_de` has three."""
    # A token of underscores alone keeps its form.
    return [part for part in BRACKETS.get(form, form).split("_") if part] or [form]


def lexicon(sentences: Iterable[Sequence[Leaf]]) -> dict[str, str]:
    """Find the most frequent tag of every lower-case form that stands alone.

    It tags the parts of multiword tokens.
    """
    # Multiword tokens are left out: their parts have no tags of their own.
    counts: dict[str, Counter[str]] = {}
    for sentence in sentences:
        for i, leaf in enumerate(sentence):
            if len(written_words(leaf.form)) == 1:
                tag = upos(leaf, sentence[i + 1 : i + 3])
                counts.setdefault(leaf.form.lower(), Counter())[tag] += 1
    return {form: tags.most_common(1)[0][0] for form, tags in counts.items()}


def ud_words(sentence: Sequence[Leaf], known: Mapping[str, str]) -> list[Word]:
    """Return the surfaces of a sentence and their universal tags, split as UD splits.

    known: see `lexicon`.
    """
    words: list[Word] = []
    for i, leaf in enumerate(sentence):
        written = written_words(leaf.form)

        # A token of one word, or a multiword token with the tags of its parts.
        if len(written) == 1:
            tag = upos(leaf, sentence[i + 1 : i + 3])
            words.append((written[0], _with_contracted(written[0], leaf, tag)))
        else:
            words += [(part, _tags_of_part(part, leaf, known)) for part in written]
    return words


def _with_contracted(form: str, leaf: Leaf, tag: str) -> tuple[str, ...]:
    """Return the tag of a token, and those of the article or the clitics that are joined to it."""
    # `al` and `del` hold an article, which UD splits off.
    if tag == "ADP" and form.lower() in ("al", "del"):
        return ("ADP", "DET")

    # `darlo` is dar + lo.
    is_open = leaf.tag[:1] == "v" and leaf.tag[2:3] in ("n", "g")  # infinitives and gerunds
    match = _VERB_AND_CLITICS.fullmatch(_without_accents(form)) if is_open else None
    clitics = len(re.findall(_CLITIC, match[2])) if match else 0
    return (tag, *["PRON"] * clitics)


def _tags_of_part(part: str, leaf: Leaf, known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags of one written word of a multiword token."""
    lower = part.lower()
    if lower in ("al", "del"):
        return ("ADP", "DET")
    if lower == "que":  # alone it is mostly a relative pronoun; after `ya`, `así`... it is not
        return ("SCONJ",)

    # In a name only function words keep their tag.
    tag = known.get(lower)
    if leaf.tag.startswith("np"):
        return (tag if tag in FUNCTION else "PROPN",)

    # The lexicon knows few of the many numbers.
    if part[0].isdigit():
        return ("NUM",)
    return (tag or ("NUM" if leaf.tag[0] == "Z" else "NOUN"),)


def _without_accents(form: str) -> str:
    """Return a form in lower case without accents: `dándole` -> `dandole`."""
    # NFD puts accents behind their letters, as characters of their own.
    decomposed = unicodedata.normalize("NFD", form.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
