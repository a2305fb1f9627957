"""SentencePiece model files, read without the SentencePiece package.

A `spiece.model` is a Protocol Buffers message: field 1 repeats the pieces (1 text, 2 score, 3
kind), field 2 holds the trainer's settings (3 model type, 35 byte fallback, 40 id of unknown),
field 3 the normaliser's (2 compiled character map, 3 dummy prefix, 4 remove extra blanks). Only
these are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from destila.errors import TokenizerError
from destila.reading.values import MOST_BYTES

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE = 1, 2
_LONGEST_PIECE = 1000  # characters; SentencePiece's own limit is 16
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types

Field = tuple[int, int | float | bytes]
"""Number and raw value: int for varints, bytes for strings and messages."""


@dataclass(frozen=True, slots=True)
class ModelPiece:
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """The vocabulary and the settings of a SentencePiece model.

    type: `UNIGRAM` or `BPE`. charsmap: compiled normalisation rules, may be empty.

    For example 31,000 pieces, type `BPE`, unk_id 1, byte_fallback False, charsmap b"" (no rules),
    dummy_prefix True (a text begins with a blank), collapse_blanks True.
    """

    pieces: tuple[ModelPiece, ...]
    type: int
    unk_id: int
    byte_fallback: bool
    charsmap: bytes
    dummy_prefix: bool
    collapse_blanks: bool


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a SentencePiece file.

    Raises:
        TokenizerError: it is none, or neither Unigram nor BPE.
    """
    if path.stat().st_size > MOST_BYTES:
        raise TokenizerError(f"{path} has over {MOST_BYTES:,} bytes: fetch it again")
    data = path.read_bytes()
    try:
        model = _parse_model(data)
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise TokenizerError(
            f"{path} is damaged or is not a SentencePiece model: {error}"
        ) from error

    if not model.pieces:
        raise TokenizerError(f"{path} holds no pieces: it is empty or is not a SentencePiece model")
    if not 0 <= model.unk_id < len(model.pieces):
        raise TokenizerError(f"{path} names piece {model.unk_id} as unknown: fetch it again")
    if max(len(piece.text) for piece in model.pieces) > _LONGEST_PIECE:
        raise TokenizerError(
            f"{path} has a piece of over {_LONGEST_PIECE:,} characters: fetch it again"
        )
    if model.type not in (UNIGRAM, BPE):
        raise TokenizerError(
            f"{path} is a word or character model (type {model.type}): only Unigram and BPE are "
            "read"
        )
    return model


def _parse_model(data: bytes) -> SentencePieceModel:
    """Parse the message of a whole model."""
    pieces: list[ModelPiece] = []
    trainer: dict[int, int] = {}
    normaliser: dict[int, int] = {}
    charsmap = b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            pieces.append(_parse_piece(value))
        elif number == 2 and isinstance(value, bytes):
            trainer |= _integers(_fields(value))
        elif number == 3 and isinstance(value, bytes):
            settings = list(_fields(value))
            normaliser |= _integers(settings)
            charsmap = next((v for n, v in settings if n == 2 and isinstance(v, bytes)), b"")

    # What a file leaves out has the default of SentencePiece.
    unknown = next((i for i, piece in enumerate(pieces) if piece.kind == UNKNOWN), None)
    return SentencePieceModel(
        pieces=tuple(pieces),
        type=trainer.get(3, UNIGRAM),
        unk_id=trainer.get(40, 0) if unknown is None else unknown,
        byte_fallback=bool(trainer.get(35, 0)),
        charsmap=charsmap,
        dummy_prefix=bool(normaliser.get(3, 1)),
        collapse_blanks=bool(normaliser.get(4, 1)),
    )


def _parse_piece(data: bytes) -> ModelPiece:
    """Parse the message of one piece."""
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif number == 2 and isinstance(value, float):
            score = value
        elif number == 3 and isinstance(value, int):
            kind = value
    return ModelPiece(text, score, kind)


def _integers(fields: Iterable[Field]) -> dict[int, int]:
    """Keep the fields that are whole numbers."""
    return {number: value for number, value in fields if isinstance(value, int)}


def _fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of one message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError(f"a field ends {at + size - len(data)} bytes after the file")
            yield number, data[at : at + size]
            at += size
        elif wire in (_FLOAT, _DOUBLE):
            width, code = (4, "<f") if wire == _FLOAT else (8, "<d")
            yield number, struct.unpack_from(code, data, at)[0]
            at += width
        else:
            raise ValueError(f"byte {at} starts a field of unknown kind {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read the varint at a byte: its value, and where the next thing starts."""
    number = shift = 0
    while True:
        # Seven bits a byte, the lowest first; the eighth bit says that more follow.
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError(f"byte {at} is inside a number of more than 64 bits")
