"""The bytes of a file, unpacked on the fly where it is a .gz, .xz or .zst."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from destila.errors import DataError, require

_CHUNK = 1 << 20
_PACKED = 1 << 14
"""Bytes of a .zst file unpacked at once; text that repeats itself may be 10,000 times as long."""

_UNPACKED, _RATIO = 1 << 30, 200
"""A packed file may unpack to so many bytes, or to so many times its own."""


def open_bytes(path: Path) -> Iterator[bytes]:
    """Return the decompressed bytes of a plain, .gz, .xz or .zst file, in chunks.

    Raises:
        DataError: at once for a missing file or a folder; on reaching it where an archive is
            damaged, or unpacks to far more than text does.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a text file (plain, .gz, .xz or .zst)")
    if not path.is_file():
        raise DataError(f"no file at {path}: check the path")
    return _bounded(path) if path.suffix in (".gz", ".xz", ".zst") else _chunks(path)


def _bounded(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a packed file, unless they are far more than text packs to."""
    most = max(_UNPACKED, _RATIO * path.stat().st_size)
    size = 0
    for chunk in _chunks(path):
        size += len(chunk)
        if size > most:
            raise DataError(
                f"{path} unpacks to over {most:,} bytes, {_RATIO} times its own size and more: "
                "that is no text; unpack it yourself and look"
            )
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file; raise DataError where the archive is damaged."""
    if path.suffix == ".zst":
        yield from _unpacked(path)
        return

    opener, damage = _opener(path)
    try:
        with closing(opener(path)) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except damage as error:
        raise DataError(f"{path} is damaged or is not a {path.suffix} file: {error}") from error


def _opener(path: Path) -> tuple[Callable[[Path], IO[bytes]], tuple[type[Exception], ...]]:
    """Return what opens a file by its ending, and the errors that mean it is damaged."""
    if path.suffix == ".gz":
        damage = (gzip.BadGzipFile, EOFError, zlib.error)
        return lambda p: gzip.open(p, "rb"), damage  # type: ignore[return-value]
    if path.suffix == ".xz":
        return lambda p: lzma.open(p, "rb"), (lzma.LZMAError, EOFError)
    return lambda p: p.open("rb"), ()


def _unpacked(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a .zst file, frame by frame.

    The library's own reader takes a frame that was cut off for its end, so each frame's end is
    checked here.
    """
    zstd = require("zstandard", "train")
    # Archives made with a long window need more than the default.
    decoder = zstd.ZstdDecompressor(max_window_size=2**31)
    frame = None

    with path.open("rb") as file:
        while packed := file.read(_PACKED):
            # What was read may hold the end of one frame and the beginning of the next.
            while packed:
                frame = frame or decoder.decompressobj()
                try:
                    plain = frame.decompress(packed)
                except zstd.ZstdError as error:
                    raise DataError(f"{path} is damaged or is not a .zst file: {error}") from error
                if plain:
                    yield plain
                packed, frame = (frame.unused_data, None) if frame.eof else (b"", frame)

    if frame is not None:
        raise DataError(f"{path} is damaged: it ends in the middle; fetch it again")
