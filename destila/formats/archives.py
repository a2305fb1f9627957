"""Zip archives of strangers: whole, not encrypted, and no larger inside than they may be."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from destila.errors import DataError
from destila.reading.blame import Blaming

_LARGEST = 1 << 29
"""Bytes that all members of an archive may have unpacked, as they may be held in memory."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@contextmanager
def open_zip(path: Path | str, *, remedy: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members can all be read into memory.

    Args:
        path: of the archive.
        remedy: what a user can do when it cannot be read; ends the message.

    Raises:
        DataError: at once when it is no zip, is encrypted, packed by an unknown method or too
            large; in the block where a member is damaged.
    """
    # A damaged archive fails in a dozen ways: sizes that lie, places before its beginning.
    damaged = Blaming(DataError, f"{path} is not a whole zip archive", remedy=remedy)
    with damaged, zipfile.ZipFile(path) as archive:
        _check_members(archive, path, remedy)
        yield archive


def _check_members(archive: zipfile.ZipFile, path: Path | str, remedy: str) -> None:
    """Raise DataError for members that cannot, or should not, be read."""
    total = 0
    for member in archive.infolist():
        if member.flag_bits & 0x1:
            raise DataError(f"{path} is encrypted ('{member.filename}'): {remedy}")
        if member.compress_type not in _METHODS:
            raise DataError(
                f"{path}: '{member.filename}' is compressed by method {member.compress_type}, "
                f"which is unknown here: {remedy}"
            )

        # No more than this is ever unpacked: zipfile stops at the size that is declared.
        total += member.file_size
        if total > _LARGEST:
            raise DataError(f"{path} unpacks to over {_LARGEST:,} bytes: {remedy}")
