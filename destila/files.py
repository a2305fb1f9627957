"""Read text as a stream, logs and data; lock; write in the one way that a kill cannot spoil.

Text is plain, `.gz`, `.xz` or `.zst`. A wrong encoding, a damaged archive, an empty or a missing
file is one clear error before anything is trained. Files and folders are written by `replacing`,
which leaves the old one or the new one, and never a part.
"""

from __future__ import annotations

import codecs
import ctypes
import hashlib
import json
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

from destila.errors import DataError
from destila.reading.unpacked import open_bytes

LINE_LIMIT = 1 << 29
"""Bytes of the longest line that is read; a whole SQuAD file is one line."""

_ASCII = "\n,;\t\"'{"
"""What text is divided by, which most encodings write as the same bytes."""

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD: paths are relative to the working folder


def open_text(
    path: str | Path,
    *,
    encoding: str = "utf-8",
    longest: int = LINE_LIMIT,
    replace: bool = False,
) -> Iterator[str]:
    """Return the lines of a text file without their line ends, decompressed on the fly.

    A leading byte order mark is dropped.

    Args:
        path: a plain, .gz, .xz or .zst file.
        encoding: of the decompressed bytes.
        longest: bytes of a line beyond which the file is refused as no text, so that memory stays
            bounded.
        replace: bytes that are not in the encoding become U+FFFD rather than an error.

    Raises:
        DataError: at once for a missing, empty or damaged file or an unknown encoding; on reaching
            it for a byte that is not in the encoding (with its offset in the decompressed file).
    """
    path = Path(path)
    chunks = open_bytes(path)
    first = next(chunks, b"")
    if not first:
        raise DataError(f"{path} is empty: give a file with text")

    # Lines are cut as bytes, which needs line ends as ASCII has them.
    if not _keeps_ascii(encoding):
        chunks = _as_utf8(path, chain((first,), chunks), encoding, replace=replace)
        first, encoding = next(chunks), "utf-8"
    return _lines(path, first, chunks, encoding, longest, replace=replace)


def stream_text(file: IO[bytes], name: str, *, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of an open stream, without their line ends, as soon as they arrive.

    Raises:
        DataError: on reaching a byte that is not in the encoding; it names offset and stream.
    """
    chunks = iter(file.readline, b"")
    first = next(chunks, b"")  # in here, so that nothing is read before it is asked for
    yield from _lines(name, first, chunks, encoding)


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Return the objects of a log of JSON lines, without lines that a kill tore; [] for no file."""
    path = Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    values = map(_json, lines)
    return [value for value in values if isinstance(value, dict)]


def data_root() -> Path | None:
    """Return `$DESTILA_DATA`, the folder of data sets and corpora; None when it is not set."""
    root = os.environ.get("DESTILA_DATA")
    return Path(root) if root else None


def find_data(name: str | Path, *, remedy: str = "check the path") -> Path:
    """Return the path of a file or folder of data: as given, else below `DESTILA_DATA`.

    Raises:
        DataError: when it is at neither place; it names both and ends with `remedy`.
    """
    root = data_root()
    places = [Path(name), *([root / name] if root else [])]
    existing = next((place for place in places if place.exists()), None)
    if existing is None:
        raise DataError(f"no file at {' or '.join(map(str, places))}: {remedy}")
    return existing


@contextmanager
def locked(path: Path, taken: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a file, created when missing, for this process.

    Args:
        path: the file; its bytes do not matter.
        taken: called when another process holds it, before it is waited for; it may raise instead.
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

            # The file may have been replaced while we waited: then the new one is to be held.
            if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                yield
                return


def waiting(log: logging.Logger, doing: str, folder: Path) -> Callable[[], None]:
    """Return a `taken` for `locked` that logs what the other process is doing, and where."""
    return partial(log.info, "another process %s in %s; waiting for it", doing, folder)


@contextmanager
def replacing(path: str | Path, *, folder: bool = False) -> Iterator[Path]:
    """Hand out a temporary path that takes the place of `path` when the block ends well.

    A kill or an error leaves what was there before. The temporary path lies beside `path`, so that
    the last step is one rename on one disk. What a kill leaves under its name goes when the same
    path is written again.

    Args:
        path: the file or folder to write; the folder above it is made when it is missing.
        folder: hand out an empty folder to fill; else the block writes a file at the path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _own_temporary(path, folder=folder) as temporary:
        try:
            yield temporary
            if folder:
                # The older folder gets the temporary name, which nobody else may then take.
                with _try_lock(path):
                    _put_folder(temporary, path)
                    shutil.rmtree(temporary, ignore_errors=True)
                return
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            if folder:
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


@contextmanager
def _own_temporary(path: Path, *, folder: bool) -> Iterator[Path]:
    """Hand out an empty file or folder beside a path that no other process writes.

    It is `.NAME.tmp`, so that the next one finds what a kill has left there, and a name of its own
    where another process holds that one at this moment.
    """
    usual = path.with_name(f".{path.name}.tmp")
    usual.mkdir(exist_ok=True) if folder else usual.touch()
    with _try_lock(usual) as held:
        if held:
            # What lies there was left by a kill: of those who hold a lock none is dead.
            _empty(usual)
            yield usual
            return

    own = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    own.mkdir() if folder else own.touch(exist_ok=False)
    yield own


@contextmanager
def _try_lock(place: Path) -> Iterator[bool]:
    """Hold a file or folder unless another process does; yield whether this one holds it."""
    if sys.platform == "win32":  # no flock
        yield False
        return

    import fcntl

    try:
        handle = os.open(place, os.O_RDONLY)
    except FileNotFoundError:  # renamed by another process, or never there
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have renamed it since it was opened.
        held = place.exists() and os.fstat(handle).st_ino == place.stat().st_ino
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(handle)


def _empty(place: Path) -> None:
    """Remove the content of a file or folder."""
    if not place.is_dir():
        os.truncate(place, 0)
        return
    for old in place.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file as `replacing` does, its line ends untouched."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file as `replacing` does."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def file_digest(path: Path) -> str:
    """Return 32 hex digits that name the bytes of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _put_folder(new: Path, place: Path) -> None:
    """Make `new` the folder at `place`; an older one is gone or has the name of `new`."""
    if not place.exists():
        new.replace(place)
    elif not _exchange(new, place):
        aside = new.with_suffix(".old")
        place.replace(aside)
        new.replace(place)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return whether the operating system can."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    failed = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return not failed


def _json(line: str) -> Any:
    try:
        return json.loads(line)  # ours: a loss may be infinite
    except (ValueError, RecursionError):
        return None


def _lines(
    path: Path | str,
    first: bytes,
    chunks: Iterator[bytes],
    encoding: str,
    longest: int = LINE_LIMIT,
    *,
    replace: bool = False,
) -> Iterator[str]:
    """Yield the decoded lines of byte chunks that end anywhere; the first one is known."""
    remedy = _remedy(first)
    errors = "replace" if replace else "strict"
    mark = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0

    # The parts of a line that has not ended yet are joined once, when it ends.
    held: list[bytes] = []
    size, offset = 0, 0
    for chunk in chain((first,), chunks):
        *whole, tail = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join((*held, whole[0]))
            held, size = [], 0
        for line in whole:
            text = line[mark:].removesuffix(b"\r")
            yield _decode(path, text, offset + mark, (encoding, errors), remedy)
            offset += len(line) + 1
            mark = 0

        held.append(tail)
        size += len(tail)
        if size > longest:
            raise DataError(
                f"{path} has a line of over {longest:,} bytes at byte {offset}: "
                "is it text, in lines?"
            )

    if rest := b"".join(held)[mark:]:  # a last line without a line end
        text = rest.removesuffix(b"\r")
        yield _decode(path, text, offset + mark, (encoding, errors), remedy)


def _keeps_ascii(encoding: str) -> bool:
    """Tell whether an encoding writes line ends and separators as the bytes of ASCII.

    Raises:
        DataError: there is no such encoding of text.
    """
    try:
        return _ASCII.encode(encoding) == _ASCII.encode("ascii")
    except (LookupError, UnicodeError, ValueError) as error:
        raise DataError(
            f"encoding '{encoding}' is unknown: give one such as utf-8, utf-16, cp1252 or latin-1"
        ) from error


def _as_utf8(
    path: Path, chunks: Iterable[bytes], encoding: str, *, replace: bool
) -> Iterator[bytes]:
    """Yield chunks of another encoding as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace" if replace else "strict")
    done = 0
    for chunk in chain(chunks, (b"",)):
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            place = done + getattr(error, "start", 0)
            raise DataError(
                f"{path} is not {encoding}: near byte {place}: {error}. Repair the byte, or give "
                "the encoding"
            ) from error
        done += len(chunk)
        yield text.encode("utf-8", "replace")


def _remedy(first: bytes) -> str:
    """Return what helps when a file that begins like this cannot be decoded."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "It is UTF-16: convert it, e.g. iconv -f utf-16 -t utf-8"
    if b"\x00" in first:
        return "It holds zero bytes, so it is no text: give a text file"
    return "Repair the byte, or convert the file, e.g. iconv -f cp1252 -t utf-8"


def _decode(
    path: Path | str, line: bytes, offset: int, encoding: tuple[str, str], remedy: str
) -> str:
    try:
        return line.decode(*encoding)
    except UnicodeDecodeError as error:
        byte, value = offset + error.start, line[error.start]
        raise DataError(
            f"{path} is not {encoding[0]}: byte {byte} is 0x{value:02x}. {remedy}"
        ) from error
