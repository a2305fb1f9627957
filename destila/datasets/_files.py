"""Where the published files of a data set lie, and the lines in them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from destila.config import opt
from destila.errors import DataError, require
from destila.files import data_root

HUB = "hub:"
_DEFAULT = "none = $DESTILA_DATA/"


def root_option(folder: str) -> str | None:
    """Make the option that every named data set has first."""
    field: str | None = opt(
        None, f"folder of the published files, or hub:<owner>/<name>; {_DEFAULT}{folder}"
    )
    return field


def where_from(options: type[BaseModel]) -> str:
    """Say where the examples of a data set come from, by its options, and whether they are here.

    Returns:
        "here", "not here: FOLDER", "your file", or "built in".
    """
    fields = options.model_fields
    _, is_published, folder = (
        fields["root"].description or "" if "root" in fields else ""
    ).partition(_DEFAULT)
    if not is_published:
        return "your file" if "train" in fields and fields["train"].is_required() else "built in"

    data = data_root()
    if data is None:
        return f"not here: no DESTILA_DATA for {folder}"
    return "here" if (Path(data) / folder).is_dir() else f"not here: {Path(data) / folder}"


def find_folder(root: str | None, name: str, source: str) -> Path:
    """Return the folder of a data set's published files.

    Args:
        root: a folder, `hub:<owner>/<name>` (a data set repository that holds the published files;
            works offline from the local hub cache) or None for `$DESTILA_DATA/<name>`.
        name: of the data set's folder.
        source: where the files come from, for messages.

    Raises:
        DataError: there is no such folder.
    """
    # The hub is asked only where the user names it: loading stays offline otherwise.
    if root is not None and root.startswith(HUB):
        return _from_hub(root.removeprefix(HUB))

    # A folder that is named, else one below DESTILA_DATA.
    data = data_root()
    if root is None and data is None:
        raise DataError(
            f"no folder for {name}: set data.root or DESTILA_DATA; the files come from {source}"
        )
    folder = Path(root) if root is not None else Path(data or "") / name
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: put the files from {source} there, or set data.root")
    return folder


def _from_hub(repository: str) -> Path:
    """Fetch a data set repository, or take it from the local cache."""
    hub = require("huggingface_hub", "train")

    # The client's errors are many and do not say what to do.
    try:
        return Path(hub.snapshot_download(repository, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"data set '{repository}' cannot be had from the hub ({type(error).__name__}): check "
            "the name and the network, or give a folder as data.root"
        ) from error


def find_file(folder: Path, *names: str) -> Path | None:
    """Return the first of the names (plain or .gz) that exists in a folder, None without one."""
    # The order of the names is that of preference, a plain file before a packed one.
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def need_file(folder: Path, *names: str) -> Path:
    """Return the first of the names that exists in a folder; raise DataError that lists them."""
    path = find_file(folder, *names)
    if path is None:
        raise DataError(
            f"{folder} has no {' or '.join(names)}: put the published file there, or set data.root"
        )
    return path
