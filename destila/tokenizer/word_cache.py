"""Ids of running text by looking up its words, where a tokenizer gives each word its pieces whatever stands beside it.

Text repeats its words, and a tokenizer that splits at blanks before anything else gives a word the same pieces every
time; so only words not met before are encoded. Whether that holds is read from the tokenizer's own parts; texts with
characters that normalisation could carry across a blank, or that could spell a special token, are encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

from destila.tokenizer.spec import steps
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
    """Gives `Tokenizer.ids`, faster. applies: whether words can be looked up; else every text is encoded whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        spec = tokenizer.content()[0]
        self.applies = is_wordwise(spec)
        self._added = tuple(token["content"].lower() for token in spec["added_tokens"])
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, as `Tokenizer.ids` gives them."""
        if not self.applies:
            return self._tokenizer.ids(texts)
        plain = [self._is_plain(text) for text in texts]
        words = [
            text.split() if is_plain else [] for text, is_plain in zip(texts, plain, strict=True)
        ]
        known = self._learned(words)
        whole = iter(
            self._tokenizer.ids(
                [text for text, is_plain in zip(texts, plain, strict=True) if not is_plain]
            )
        )
        return [
            list(chain.from_iterable(map(known.__getitem__, found))) if is_plain else next(whole)
            for found, is_plain in zip(words, plain, strict=True)
        ]

    def _is_plain(self, text: str) -> bool:
        """True when neither normalisation nor an added token (`-` in some vocabularies) reaches across its blanks."""
        if _PLAIN.fullmatch(text) is None:
            return False
        lowered = text.lower()
        return not any(token in lowered for token in self._added)

    def _learned(self, texts: list[list[str]]) -> dict[str, list[int]]:
        if len(self._known) > _WORDS:
            self._known = {}
        new = list(set(chain.from_iterable(texts)).difference(self._known))
        self._known.update(zip(new, self._tokenizer.ids(new), strict=True))
        return self._known


def is_wordwise(spec: dict[str, Any]) -> bool:
    """True when a tokenizer.json's content splits at blanks first and marks every word's start alike."""
    splits = steps(spec["pre_tokenizer"])
    first = splits[0] if splits else {"type": ""}
    marked = first["type"] == "Metaspace" and first["prepend_scheme"] == "always" and first["split"]
    apart = first["type"] in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
    return (marked or apart) and all(map(_stays_in_words, steps(spec["normalizer"])))


def _stays_in_words(step: dict[str, Any]) -> bool:
    """True when a step of normalisation does the same to a word alone as within a text."""
    if step["type"] != "Replace":
        return step["type"] in _NORMALISERS
    pattern = next(iter(step["pattern"].values()))
    return pattern in _BLANKS or not re.search(r"[\s\\]", pattern)
