"""Which encoding a text file is in, told from its bytes, for what Spanish text is saved in.

A byte order mark decides, and so does text that is valid UTF-8, which none is by accident. Zero
bytes in every second place are UTF-16 without its mark. All others have one byte a character:
Windows' cp1252 (which reads Latin-1 alike), unless many of its characters would be none that
Spanish text has and the old encodings of the Mac or of DOS fit better. General detectors weigh some
ninety encodings and often err on short files; this one weighs four and can be checked by hand.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from destila.errors import DataError
from destila.files import open_text
from destila.reading.unpacked import open_bytes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, with whose mark it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SPANISH = frozenset(
    "áéíóúüñÁÉÍÓÚÜÑ¿¡ºª«»€“”‘’–—…·•´çÇàèìòùâêîôûäëïöãõÀÈÒ©®°½¼²³\N{NO-BREAK SPACE}"
)
_OLD = ("mac-roman", "cp850")
_DOUBTFUL, _FITS = 0.25, 0.5
"""Shares of signs that Spanish has not at which cp1252 is doubted, and that it has of another."""

_LETTERS = [*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]
_CHUNKS = 64
"""Chunks of a megabyte that are looked at."""


def detect_encoding(path: Path | str) -> str:
    """Return the encoding of a text file, as Python calls it.

    Raises:
        DataError: the file is missing, damaged, no text, or in none of the known encodings.
    """
    # The beginning may say it all.
    chunks = islice(open_bytes(Path(path)), _CHUNKS)
    first = next(chunks, b"")
    for mark, name in _MARKS:
        if first.startswith(mark):
            return name
    if name := _utf16_without_mark(first):
        return name

    # A file of UTF-8 with a broken byte is still one: its reader says where the byte is.
    counts, good, bad = _count(chain((first,), chunks))
    if bad <= good or not bad:
        return "utf-8"
    if counts[0]:
        raise DataError(f"{path} holds zero bytes, so it is no text: give a text file")
    return _single_byte(counts, path)


def text_lines(
    path: Path | str, encoding: str | None = None, *, replace: bool = False
) -> Iterator[str]:
    """Return the lines of a text file whatever its encoding; see `open_text`.

    Args:
        path: a plain, .gz, .xz or .zst file.
        encoding: of its bytes; None recognises it.
        replace: bytes that are not in the encoding become U+FFFD rather than an error.
    """
    return open_text(path, encoding=encoding or detect_encoding(path), replace=replace)


def _utf16_without_mark(first: bytes) -> str:
    """Return which UTF-16 a beginning is, by its zero bytes; "" for none."""
    data = np.frombuffer(first[: len(first) // 2 * 2], np.uint8).reshape(-1, 2)
    even, odd = (data == 0).mean(axis=0) if len(data) else (0.0, 0.0)
    if odd > 0.5 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.05 else ""


def _count(chunks: Iterable[bytes]) -> tuple[np.ndarray, int, int]:
    """Count every byte, the characters above 127 that are valid UTF-8, and what is not valid."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    counts = np.zeros(256, np.int64)
    good = bad = 0
    for chunk in chunks:
        each = np.bincount(np.frombuffer(chunk, np.uint8), minlength=256)
        counts += each

        # A replacement character may also stand in the file itself.
        text = decoder.decode(chunk)
        broken = text.count("\ufffd") - chunk.count("\ufffd".encode())
        bad += broken
        good += len(text) - broken - int(each[:128].sum())
    return counts, good, bad


def _single_byte(counts: np.ndarray, path: Path | str) -> str:
    """Return the encoding of one byte a character in which most of the bytes fit Spanish.

    Raises:
        DataError: none fits.
    """
    # Alphabets other than the Latin one write most letters above 127, and look like French.
    is_latin = counts[128:].sum() < counts[_LETTERS].sum()
    shares = {name: _share(counts, name) for name in ("cp1252", *_OLD)}
    best = "cp1252"
    if shares[best] < 1 - _DOUBTFUL:
        best = max(shares, key=lambda name: shares[name])
    if shares[best] < _FITS or not is_latin:
        raise DataError(
            f"{path} is not utf-8, and none of the other encodings of Spanish text fits (utf-16, "
            "cp1252, latin-1, mac-roman, cp850): give its encoding, or save it as UTF-8"
        )

    # Nobody writes the sign of currencies: in the successor of Latin-1 its byte is the euro.
    is_newer = best == "cp1252" and counts[0xA4] and not counts[0x80:0xA0].any()
    return "iso8859-15" if is_newer else best


def _share(counts: np.ndarray, encoding: str) -> float:
    """Return the share of the bytes above 127 that Spanish text has in an encoding."""
    high = range(128, 256)
    fits = [bytes((byte,)).decode(encoding, "replace") in _SPANISH for byte in high]
    return float(counts[128:][fits].sum() / counts[128:].sum())
