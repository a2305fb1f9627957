"""What each piece of a vocabulary says about words and characters.

Whole-word masking needs to know where words start among tokens. Three families of vocabulary say it
in three ways: `▁` before the first piece of a word (SentencePiece), `Ġ` (bytes), `##` before every
other piece (WordPiece). In the first two a punctuation mark without a blank before it starts a word
too, and so does the letter after it: `▁` `¿` `qué` `?` is `▁¿`, `qué`, `?`.

The published ALBERT code takes a piece with any letter outside a-z for the start of a word, so that
the suffix of `desarticul|ación` is masked without its stem; the rule "published" keeps that.

How many characters a piece spells makes the losses of different tokenizers comparable.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

import numpy as np

from destila.errors import ConfigError, TokenizerError
from destila.tokenizer.spec import Json, is_bytelevel, vocabulary
from destila.tokenizer.tokenizer import Tokenizer

WordRule = Literal["whole", "published", "piece"]

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_RESERVED = re.compile(rf"{_BYTE.pattern}|\[unused\d+\]")
_PUBLISHED_SYMBOLS = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~€£')
_PUBLISHED_CHARACTERS = _PUBLISHED_SYMBOLS | frozenset("abcdefghijklmnopqrstuvwxyz")

# A byte-level vocabulary spells a byte without a visible character of its own, the n-th of them,
# as code point 256 + n.
_FIRST_HIDDEN = 256
_HIDDEN_BYTES = [byte for byte in range(256) if unicodedata.category(chr(byte))[0] in "CZ"]


@dataclass(frozen=True, slots=True)
class WordMarks:
    """What every id of a vocabulary of V pieces says about words.

    begins: bool [V], a word starts here wherever the piece stands.
    symbol: bool [V], a word starts here, and another one after it.
    bare: bool [V], a start mark without letters, to which the next piece belongs.
    special: bool [V], of no word; the unknown token, which stands for part of one, is not special.
    ordinary: i64 [K], the ids that text is made of.

    The vocabulary `[MASK] [UNK] ▁ ▁di ce ?` has begins 0 0 1 1 0 0, symbol 0 0 0 0 0 1,
    bare 0 0 1 0 0 0, special 1 0 0 0 0 0 and ordinary 2 3 4 5.
    """

    begins: np.ndarray
    symbol: np.ndarray
    bare: np.ndarray
    special: np.ndarray
    ordinary: np.ndarray
    mask_id: int
    unk_id: int


def read_word_marks(tokenizer: Tokenizer, words: WordRule = "whole") -> WordMarks:
    """Read off a vocabulary where words start and which pieces are special.

    Args:
        tokenizer: the tokenizer whose vocabulary is read.
        words: "whole" words; "published", those of the published code, for SentencePiece and
            WordPiece; "piece", each piece by itself.

    Raises:
        TokenizerError: the tokenizer has no mask token, or its vocabulary no mark of word starts.
        ConfigError: the published rule is asked of a vocabulary of bytes.

    """
    if tokenizer.mask_id is None:
        raise TokenizerError(
            f"{tokenizer.source} has no mask token: name one in tokenizer_config.json"
        )
    spec, _ = tokenizer.content()
    pieces = _spellings(spec, tokenizer.vocab_size)

    # Special tokens belong to no word. The unknown token does: it stands for part of one.
    named = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
    named |= {token["id"] for token in spec["added_tokens"] if token["special"]}
    special = np.zeros(len(pieces), bool)  # [V]
    special[sorted(named - {tokenizer.unk_id})] = True

    # Text is made of the rest, but for holes and for places that are kept free.
    ordinary = [
        i
        for i, piece in enumerate(pieces)
        if piece and not special[i] and i != tokenizer.unk_id and not _RESERVED.fullmatch(piece)
    ]

    begins, symbol, bare = _word_classes(tokenizer, spec, pieces, words)
    return WordMarks(
        begins=begins,
        symbol=symbol,
        bare=bare,
        special=special,
        ordinary=np.array(ordinary),
        mask_id=tokenizer.mask_id,
        unk_id=tokenizer.unk_id,
    )


def word_starts(ids: np.ndarray, marks: WordMarks) -> np.ndarray:
    """Tell of each token of rows ids [R, L] whether it starts a word: bool [R, L]."""
    special, symbol = marks.special[ids], marks.symbol[ids]  # [R, L]
    starts: np.ndarray = marks.begins[ids]  # [R, L]

    # A row opens with a word, and so does what follows a special token.
    starts[:, 0] = True
    starts[:, 1:] |= special[:, :-1]

    # A symbol is a word, and what follows it starts one; both belong to a bare mark before them.
    beside_symbol = symbol[:, 1:] | symbol[:, :-1]  # [R, L - 1]
    starts[:, 1:] |= beside_symbol & ~marks.bare[ids[:, :-1]]

    starts &= ~special
    return starts


def characters_per_piece(tokenizer: Tokenizer) -> np.ndarray:
    """Count the characters of every piece, i64 [V]: its letters, a start mark as one blank.

    `##` counts as nothing, and so do special tokens and holes. Of a character that is cut into
    bytes, the piece that begins it has the character.
    """
    spec, _ = tokenizer.content()
    in_bytes = is_bytelevel(spec)
    prefix = spec["model"].get("continuing_subword_prefix") or ""

    counts = np.zeros(tokenizer.vocab_size, np.int64)  # [V]
    for piece, i in vocabulary(spec).items():
        reserved = _BYTE.fullmatch(piece)
        if reserved:
            counts[i] = _begins_character(int(reserved[1], 16))
        elif in_bytes:
            counts[i] = sum(_begins_character(_byte_of(letter)) for letter in piece)
        else:
            counts[i] = len(piece.removeprefix(prefix))

    for token in spec["added_tokens"]:
        counts[token["id"]] = 0 if token["special"] else len(token["content"])
    return counts


def _begins_character(byte: int) -> bool:
    """Tell whether a byte of UTF-8 begins a character, or goes on with an earlier one."""
    return byte & 0xC0 != 0x80


def _byte_of(letter: str) -> int:
    """Return the byte that a letter of a byte-level piece stands for."""
    code = ord(letter)
    return code if code < _FIRST_HIDDEN else _HIDDEN_BYTES[code - _FIRST_HIDDEN]


def _spellings(spec: Json, size: int) -> list[str]:
    """List the spelling of every id, "" where the vocabulary has a hole."""
    pieces = [""] * size
    for piece, i in vocabulary(spec).items():
        pieces[i] = piece
    for token in spec["added_tokens"]:
        pieces[token["id"]] = token["content"]
    return pieces


def _word_classes(
    tokenizer: Tokenizer, spec: Json, pieces: list[str], words: WordRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return begins, symbol and bare of `WordMarks`, each bool [V]."""
    none = np.zeros(len(pieces), bool)
    if words == "piece":
        return ~none, none, none

    # WordPiece marks the pieces that go on with a word.
    if spec["model"]["type"] == "WordPiece":
        prefix = spec["model"]["continuing_subword_prefix"]
        return np.array([not p.startswith(prefix) for p in pieces]), none, none

    in_bytes = is_bytelevel(spec)
    if words == "published":
        if in_bytes:
            raise ConfigError(
                "words = 'published' is ALBERT's rule for SentencePiece; "
                f"{tokenizer.source} spells words in bytes. Use 'whole'"
            )
        return np.array([_begins_by_published_rule(p) for p in pieces]), none, none

    # The other families mark the first piece of a word.
    mark = "Ġ" if in_bytes else "▁"
    begins = np.array([p.startswith(mark) for p in pieces])
    if not begins.any():
        raise TokenizerError(
            f"no piece of {tokenizer.source} starts with '{mark}', so its words cannot be told "
            "apart. Mask by words = 'piece', or use another tokenizer"
        )

    # A piece without letters is a symbol, one that is only the mark itself is bare.
    texts = tokenizer.spell(range(len(pieces))) if in_bytes else [p.lstrip(mark) for p in pieces]
    symbol = np.array([bool(text.strip()) and not _has_letters(text) for text in texts])
    bare = np.array([bool(p) and not p.strip(mark) for p in pieces])
    return begins, symbol & ~bare, bare


def _has_letters(text: str) -> bool:
    """Tell whether a text has a letter, digit or accent, or part of a character's bytes."""
    return any(
        c.isalnum() or c == "\ufffd" or unicodedata.category(c).startswith("M") for c in text
    )


def _begins_by_published_rule(piece: str) -> bool:
    """Apply ALBERT's published rule for the start of a word."""
    if piece.startswith(("▁", "<")) or piece in _PUBLISHED_SYMBOLS:
        return True
    return any(c.lower() not in _PUBLISHED_CHARACTERS for c in piece)
