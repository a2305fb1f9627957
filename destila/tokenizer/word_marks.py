"""Where words start among tokens: what whole-word masking needs to know of a vocabulary.

Three families of vocabulary say it in three ways: `▁` before the first piece of a word (SentencePiece), `Ġ` (bytes),
`##` before every other piece (WordPiece). In the first two a punctuation mark without a blank before it starts a word
too, and so does the letter after it: `▁` `¿` `qué` `?` is `▁¿`, `qué`, `?`.

The published ALBERT code takes a piece with any letter outside a-z for the start of a word, so that the suffix of
`desarticul|ación` is masked without its stem (trap T4 of the fact sheet); "published" keeps that.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from destila.errors import ConfigError, TokenizerError
from destila.tokenizer import casing
from destila.tokenizer.tokenizer import Tokenizer

Words = Literal["whole", "published", "piece"]
_RESERVED = re.compile(r"<0x[0-9A-F]{2}>|\[unused\d+\]")
_PUBLISHED_SYMBOLS = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~€£')
_PUBLISHED_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Marks:
    """What every id of a vocabulary says about words.

    begins: bool [V], a word starts here wherever it stands. symbol: bool [V], so it does, and after it too. bare: bool
    [V], a mark without letters, to which the next piece belongs. special: bool [V], of no word; the unknown token is
    not among them, as it stands for part of a word. ordinary: i64 [K], the ids that text is made of.
    """

    begins: np.ndarray
    symbol: np.ndarray
    bare: np.ndarray
    special: np.ndarray
    ordinary: np.ndarray
    mask_id: int
    unk_id: int


def marks(tokenizer: Tokenizer, words: Words = "whole") -> Marks:
    """The marks of a vocabulary; raises TokenizerError without a mask token or a mark of word starts.

    words: "whole" words; those of the "published" code, for SentencePiece and WordPiece; "piece": each by itself.
    """
    if tokenizer.mask_id is None:
        raise TokenizerError(
            f"{tokenizer.source} has no mask token: name one in tokenizer_config.json"
        )
    spec, _ = tokenizer.content()
    pieces = _pieces(spec, tokenizer.vocab_size)
    named = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
    named |= {token["id"] for token in spec["added_tokens"] if token["special"]}
    special = np.zeros(len(pieces), bool)
    special[sorted(named - {tokenizer.unk_id})] = True
    ordinary = [
        i
        for i, p in enumerate(pieces)
        if p and not special[i] and i != tokenizer.unk_id and not _RESERVED.fullmatch(p)
    ]
    begins, symbol, bare = _classes(tokenizer, spec, pieces, words)
    return Marks(
        begins, symbol, bare, special, np.array(ordinary), tokenizer.mask_id, tokenizer.unk_id
    )


def word_starts(ids: np.ndarray, marks: Marks) -> np.ndarray:
    """Whether each token of rows ids [R, L] starts a word, bool [R, L]; what follows a special token does."""
    special, symbol = marks.special[ids], marks.symbol[ids]
    starts: np.ndarray = marks.begins[ids]
    starts[:, 0] = True
    after = (symbol[:, 1:] | symbol[:, :-1]) & ~marks.bare[ids[:, :-1]]
    starts[:, 1:] |= after | special[:, :-1]
    starts &= ~special
    return starts


def _pieces(spec: dict[str, Any], size: int) -> list[str]:
    """The spelling of every id, "" where the vocabulary has a hole."""
    vocab = spec["model"]["vocab"]
    items = (
        vocab.items()
        if isinstance(vocab, dict)
        else ((entry[0], i) for i, entry in enumerate(vocab))
    )
    pieces = [""] * size
    for piece, i in [*items, *((token["content"], token["id"]) for token in spec["added_tokens"])]:
        pieces[i] = piece
    return pieces


def _classes(
    tokenizer: Tokenizer, spec: dict[str, Any], pieces: list[str], words: Words
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    none = np.zeros(len(pieces), bool)
    if words == "piece":
        return ~none, none, none
    if spec["model"]["type"] == "WordPiece":
        prefix = spec["model"]["continuing_subword_prefix"]
        return np.array([not p.startswith(prefix) for p in pieces]), none, none
    in_bytes = casing.is_bytelevel(spec)
    if words == "published":
        if in_bytes:
            raise ConfigError(
                f"words = 'published' is ALBERT's rule for SentencePiece; {tokenizer.source} spells words in bytes. "
                "Use 'whole'"
            )
        return np.array([_published(p) for p in pieces]), none, none
    mark = "Ġ" if in_bytes else "▁"
    begins = np.array([p.startswith(mark) for p in pieces])
    if not begins.any():
        raise TokenizerError(
            f"no piece of {tokenizer.source} starts with '{mark}', so its words cannot be told apart. "
            "Mask by words = 'piece', or use another tokenizer"
        )
    spelt = tokenizer.spell(range(len(pieces))) if in_bytes else [p.lstrip(mark) for p in pieces]
    symbol = np.array(
        [bool(text.strip()) and not any(_lettered(c) for c in text.strip()) for text in spelt]
    )
    bare = np.array([bool(p) and not p.strip(mark) for p in pieces])
    return begins, symbol & ~bare, bare


def _lettered(character: str) -> bool:
    """A letter, a digit, an accent; also what a part of a character's bytes is shown as."""
    return (
        character.isalnum()
        or character == "\ufffd"
        or unicodedata.category(character).startswith("M")
    )


def _published(piece: str) -> bool:
    if piece.startswith(("▁", "<")) or piece in _PUBLISHED_SYMBOLS:
        return True
    return any(c.lower() not in _PUBLISHED_LETTERS and c not in _PUBLISHED_SYMBOLS for c in piece)
