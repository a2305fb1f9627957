"""Whether the models of a study are still what training wrote: cheap at every run, or every byte.

`trained.json` holds the size and the digest of each file of the model folder. A run compares names
and sizes, which costs nothing and finds what was deleted or cut; `destila verify` reads everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from destila.errors import DataError
from destila.files import file_digest
from destila.reading.shapes import Needed, read_shape

TRAINED = "trained.json"
"""Name of the file by which a training is finished; see `training.py`."""

FileFacts = Mapping[str, tuple[int, str]]
"""Size in bytes and digest of files, by name."""


def describe_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size and the digest of every file of a model folder, by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: (path.stat().st_size, file_digest(path)) for path in files}


def damage_of(folder: Path, files: FileFacts, *, read: bool = False) -> str:
    """Say what is wrong with a model folder in a few words; "" when nothing is.

    Args:
        folder: of the model.
        files: what training wrote; {} where that was not kept, as in studies of version 0.2.
        read: compare every byte, not only names and sizes.
    """
    if not folder.is_dir():
        return "its folder is gone"

    # What was not written down is judged by the weights themselves.
    if not files:
        return _weights_damage(folder / "model.safetensors")

    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is gone"
        now = path.stat().st_size
        if now != size:
            return f"{name} has {now:,} bytes, {size:,} were written"
        if read and file_digest(path) != digest:
            return f"{name} has other bytes than were written"
    return ""


def run_damage(run: Path, *, read: bool = False) -> str:
    """Say what is wrong with the model in the folder of a finished training; "" for nothing.

    Args:
        run: the folder with `trained.json` and `best/`.
        read: compare every byte, not only names and sizes.

    Raises:
        DataError: `trained.json` cannot be read.
    """
    files: FileFacts = read_trained(run).get("files", {})
    return damage_of(run / "best", files, read=read)


def read_trained(run: Path) -> dict[str, Any]:
    """Return what `trained.json` says of a finished training.

    Raises:
        DataError: it cannot be read.
    """
    path = run / TRAINED
    remedy = f"delete it to train {run.name} again"
    try:
        return read_shape(path, {"key": Needed(str)}, DataError, remedy=remedy)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): {remedy}") from error


def _weights_damage(path: Path) -> str:
    """Say whether a file of weights is gone or cut, as far as its own header tells; "" if not."""
    if not path.is_file():
        return f"{path.name} is gone"
    try:
        with safe_open(path, "numpy") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        return f"{path.name} is cut or damaged ({error})"
    return ""
