"""Text files of people and corpora, read as a stream: plain, `.gz`, `.xz` or `.zst`; logs; the one way to write a file.

A wrong encoding, a damaged archive, an empty or a missing file is one clear error before anything is trained.
"""

from __future__ import annotations

import codecs
import gzip
import json
import logging
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from destila.errors import DataError, require

_CHUNK = 1 << 20
_PACKED = (
    1 << 14
)  # bytes of a .zst file that are unpacked at once; text that repeats itself may be 10,000 times as long


def open_text(
    path: str | Path, *, encoding: str = "utf-8", longest: int | None = None
) -> Iterator[str]:
    """The lines of a text file without their line ends, decompressed on the fly.

    longest: bytes of a line beyond which the file is refused as no text, so that memory stays bounded; None: any.
    A leading byte order mark is dropped. Raises DataError at once for a missing, empty or damaged file, and
    on reaching it for a byte that is not in the encoding (with its offset in the decompressed file).
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a text file (plain, .gz, .xz or .zst)")
    if not path.is_file():
        raise DataError(f"no file at {path}: check the path")
    chunks = _chunks(path)
    first = next(chunks, b"")
    if not first:
        raise DataError(f"{path} is empty: give a file with text")
    return _lines(path, first, chunks, encoding, longest)


def stream_text(file: IO[bytes], name: str, *, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of an open stream without their line ends, as soon as they arrive; none when it is empty.

    Raises DataError on reaching a byte that is not in the encoding, with its offset and the stream's name.
    """
    chunks = iter(file.readline, b"")
    yield from _lines(
        name, next(chunks, b""), chunks, encoding
    )  # nothing is read before it is asked for


@contextmanager
def locked(path: Path, taken: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a file (created when missing) for this process.

    taken: called when another process holds it, before it is waited for; may raise instead.
    """
    if sys.platform == "win32":  # no flock: one process at a time
        path.touch()
        yield
        return
    import fcntl

    while True:
        with path.open("a", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                taken()
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                yield
                return  # else it was replaced while we waited: hold the new one


def waiting(log: logging.Logger, doing: str, folder: Path) -> Callable[[], None]:
    """For `locked`: says that another process is doing something in a folder, and is waited for."""
    return partial(log.info, "another process %s in %s; waiting for it", doing, folder)


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The objects of a log of JSON lines, none when there is no file; a line that a kill tore is left out."""
    path = Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [found for line in lines if isinstance(found := _json(line), dict)]


def write_text(path: str | Path, text: str) -> None:
    """Nothing; writes UTF-8 text under a temporary name and renames it, so that a kill leaves old or new."""
    write_with(path, lambda file: file.write(text.encode("utf-8")))


def write_with(path: str | Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Nothing; `fill` writes a file's bytes under a temporary name that is then renamed; see `write_text`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _lines(
    path: Path | str,
    first: bytes,
    chunks: Iterator[bytes],
    encoding: str,
    longest: int | None = None,
) -> Iterator[str]:
    rest, offset = (
        first.removeprefix(codecs.BOM_UTF8),
        len(first) - len(first.removeprefix(codecs.BOM_UTF8)),
    )
    remedy = _remedy(first)
    while True:
        *whole, tail = rest.split(b"\n")
        for line in whole:
            yield _decode(path, line.removesuffix(b"\r"), offset, encoding, remedy)
            offset += len(line) + 1
        if longest is not None and len(tail) > longest:
            raise DataError(
                f"{path} has a line of over {longest:,} bytes at byte {offset}: is it text, in lines?"
            )
        chunk = next(chunks, b"")
        if not chunk:
            break
        rest = tail + chunk
    if tail:
        yield _decode(path, tail.removesuffix(b"\r"), offset, encoding, remedy)


def _remedy(first: bytes) -> str:
    """What helps when a file that begins like this cannot be decoded."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "Convert it: iconv -f utf-16 -t utf-8"
    if b"\x00" in first:
        return "It holds zero bytes, so it is no text: give a text file"
    return "Convert it, e.g. iconv -f latin1 -t utf-8"


def _decode(path: Path | str, line: bytes, offset: int, encoding: str, remedy: str) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        byte, value = offset + error.start, line[error.start]
        raise DataError(
            f"{path} is not {encoding}: byte {byte} is 0x{value:02x}. {remedy}"
        ) from error


def _chunks(path: Path) -> Iterator[bytes]:
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
    if path.suffix == ".gz":
        return lambda p: gzip.open(p, "rb"), (gzip.BadGzipFile, EOFError, zlib.error)  # type: ignore[return-value]
    if path.suffix == ".xz":
        return lambda p: lzma.open(p, "rb"), (lzma.LZMAError, EOFError)
    return lambda p: p.open("rb"), ()


def _unpacked(path: Path) -> Iterator[bytes]:
    """The bytes of a .zst file, frame by frame: the library's own reader takes one that was cut off for its end."""
    zstd = require("zstandard", "train")
    # Archives made with a long window need more than the default.
    decoder = zstd.ZstdDecompressor(max_window_size=2**31)
    frame = None
    with path.open("rb") as file:
        while packed := file.read(_PACKED):
            while packed:
                frame = frame or decoder.decompressobj()
                try:
                    found = frame.decompress(packed)
                except zstd.ZstdError as error:
                    raise DataError(f"{path} is damaged or is not a .zst file: {error}") from error
                if found:
                    yield found
                packed, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        raise DataError(f"{path} is damaged: it ends in the middle; fetch it again")


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a temporary name and rename it."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
