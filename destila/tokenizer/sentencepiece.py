"""SentencePiece model files, read without the SentencePiece package.

A `spiece.model` is a Protocol Buffers message: field 1 repeats the pieces (1 text, 2 score, 3 kind), field 2 holds the
trainer's settings (3 model type, 35 byte fallback, 40 id of unknown), field 3 the normaliser's (2 compiled character
map, 3 dummy prefix, 4 remove extra blanks). Only these are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from destila.errors import TokenizerError

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE = 1, 2
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class Model:
    """What a SentencePiece model says about segmentation. charsmap: compiled normalisation rules, may be empty."""

    pieces: tuple[Piece, ...]
    type: int
    unk_id: int
    byte_fallback: bool
    charsmap: bytes
    dummy_prefix: bool
    collapse_blanks: bool


def read(path: Path) -> Model:
    """The model in a SentencePiece file; raises TokenizerError when it is not one or is of an unknown type."""
    data = path.read_bytes()
    try:
        model = _model(data)
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise TokenizerError(
            f"{path} is damaged or is not a SentencePiece model: {error}"
        ) from error
    if not model.pieces:
        raise TokenizerError(f"{path} holds no pieces: it is empty or is not a SentencePiece model")
    if model.type not in (UNIGRAM, BPE):
        raise TokenizerError(
            f"{path} is a word or character model (type {model.type}): only Unigram and BPE are read"
        )
    return model


def _model(data: bytes) -> Model:
    pieces: list[Piece] = []
    trainer: dict[int, int] = {}
    normaliser: dict[int, int] = {}
    charsmap = b""
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            pieces.append(_piece(value))
        elif field == 2 and isinstance(value, bytes):
            trainer |= {f: v for f, v in _fields(value) if isinstance(v, int)}
        elif field == 3 and isinstance(value, bytes):
            inner = list(_fields(value))
            normaliser |= {f: v for f, v in inner if isinstance(v, int)}
            charsmap = next((v for f, v in inner if f == 2 and isinstance(v, bytes)), b"")
    return Model(
        pieces=tuple(pieces),
        type=trainer.get(3, UNIGRAM),
        unk_id=next((i for i, p in enumerate(pieces) if p.kind == UNKNOWN), trainer.get(40, 0)),
        byte_fallback=bool(trainer.get(35, 0)),
        charsmap=charsmap,
        dummy_prefix=bool(normaliser.get(3, 1)),
        collapse_blanks=bool(normaliser.get(4, 1)),
    )


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif field == 2 and isinstance(value, float):
            score = value
        elif field == 3 and isinstance(value, int):
            kind = value
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Field numbers and raw values of one message: int for varints, bytes for strings and messages."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError(f"a field ends {at + size - len(data)} bytes after the file")
            yield key >> 3, data[at : at + size]
            at += size
        elif wire in (_FLOAT, _DOUBLE):
            width, code = (4, "<f") if wire == _FLOAT else (8, "<d")
            yield key >> 3, struct.unpack_from(code, data, at)[0]
            at += width
        else:
            raise ValueError(f"byte {at} starts a field of unknown kind {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError(f"byte {at} is inside a number of more than 64 bits")
