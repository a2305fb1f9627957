"""A published data set into its folder: what is there stays, archives give what is needed."""

from __future__ import annotations

import logging
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from destila.errors import ConfigError, DataError
from destila.fetching.download import download
from destila.fetching.places import NOT_FETCHED, PLACES, Source
from destila.files import data_root, locked, replacing, waiting
from destila.plugins import nearest
from destila.progress import Progress, silent

log = logging.getLogger(__name__)


def fetch_dataset(
    name: str, progress: Progress = silent, *, root: str | None = None
) -> dict[str, str]:
    """Bring a published data set onto this machine.

    Args:
        name: of the data set, as in a recipe.
        progress: called with the bytes of each download.
        root: folder for the files; None: the data set's own under DESTILA_DATA.

    Returns:
        For each of its files "here already" or "fetched".

    Raises:
        ConfigError: it is not fetched, or there is no place for it.
        DataError: a file cannot be had, or is another one than the published one.
    """
    if name in NOT_FETCHED:
        raise ConfigError(f"'{name}' is not fetched: {NOT_FETCHED[name]}")
    if name not in PLACES:
        raise ConfigError(f"'{name}' is no data set to fetch.{nearest(name, sorted(PLACES))}")
    place, data = PLACES[name], data_root()
    if root is None and data is None:
        raise ConfigError("no place for the files: set DESTILA_DATA to a folder, or give --root")
    folder = Path(root) if root is not None else Path(data or "") / place.folder
    folder.mkdir(parents=True, exist_ok=True)

    # Two processes on one folder would write the same files.
    results: dict[str, str] = {}
    with locked(folder / ".fetch.lock", waiting(log, "fetches", folder)):
        for source in place.sources:
            lacking = [file for file in source.files if not _is_here(folder, file)]
            if lacking:
                _fetch_source(source, folder, progress)
            results |= {
                file: "fetched" if file in lacking else "here already" for file in source.files
            }
    return results


def _is_here(folder: Path, file: str) -> bool:
    """Tell whether a file is in a folder, plain or packed, as the readers take it."""
    return (folder / file).is_file() or (folder / f"{file}.gz").is_file()


def _fetch_source(source: Source, folder: Path, progress: Progress) -> None:
    """Download a file, or an archive of which the files that are wanted are taken."""
    name = source.url.rpartition("/")[2]

    def show_bytes(done: int, total: int) -> None:
        """Show how far it is."""
        progress(name, done, total or done)

    target = folder / name
    download(source.url, target, source.checksum, on_bytes=show_bytes)
    if not source.members:
        return

    # Only by the names that are known, whatever else an archive holds.
    for member in source.members:
        with (
            _opened(target, member) as file,
            replacing(folder / Path(member).name) as new,
            new.open("wb") as copy,
        ):
            shutil.copyfileobj(file, copy)
    target.unlink()


@contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a file inside an archive; raise DataError where it has none of that name."""
    missing = DataError(f"{archive} has no {member}: the publisher has changed it")
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            if member not in packed.namelist():
                raise missing
            with packed.open(member) as file:
                yield file
        return
    with tarfile.open(archive) as tar:
        content = tar.extractfile(member) if member in tar.getnames() else None
        if content is None:
            raise missing
        yield content
