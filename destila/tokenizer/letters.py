"""How many characters each piece of a vocabulary spells, so that losses of different tokenizers can be compared."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from destila.tokenizer import casing
from destila.tokenizer.tokenizer import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SHIFT = 256
"""Byte-level vocabularies spell the n-th byte that has no visible character of its own as code point 256 + n."""


def characters(tokenizer: Tokenizer) -> np.ndarray:
    """Characters of every piece, i64 [V]: its letters, a word's start mark as one blank, `##` as nothing.

    0 for special tokens and holes. Of a piece that ends inside a character, the character counts where it begins.
    """
    spec, _ = tokenizer.content()
    in_bytes = casing.is_bytelevel(spec)
    prefix = spec["model"].get("continuing_subword_prefix") or ""
    vocab = spec["model"]["vocab"]
    items = (
        vocab.items()
        if isinstance(vocab, dict)
        else ((entry[0], i) for i, entry in enumerate(vocab))
    )
    found = np.zeros(tokenizer.vocab_size, np.int64)
    for piece, i in items:
        reserved = _BYTE.fullmatch(piece)
        if reserved:
            found[i] = not _continues(int(reserved[1], 16))
        elif in_bytes:
            found[i] = sum(not _continues(_byte(letter)) for letter in piece)
        else:
            found[i] = len(piece.removeprefix(prefix))
    for token in spec["added_tokens"]:
        found[token["id"]] = 0 if token["special"] else len(token["content"])
    return found


def _continues(byte: int) -> bool:
    """Whether a byte of UTF-8 goes on with a character that an earlier one began."""
    return byte & 0xC0 == 0x80


_SHOWN = [b for b in range(256) if unicodedata.category(chr(b))[0] not in "CZ"]
_HIDDEN = [b for b in range(256) if b not in set(_SHOWN)]


def _byte(letter: str) -> int:
    """The byte that a letter of a byte-level piece stands for."""
    code = ord(letter)
    return code if code < _SHIFT else _HIDDEN[code - _SHIFT]
