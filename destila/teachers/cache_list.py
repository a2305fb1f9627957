"""Which teacher caches lie on this machine, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from destila.errors import CacheError
from destila.teachers.cache import CACHE_FORMAT, teacher_cache_root
from destila.teachers.cache_files import Segment, read_meta


def list_caches(root: Path | None = None) -> list[dict[str, Any]]:
    """Return one dict per cache under a root, largest first, for `destila list cache`.

    Its keys: folder, source, task, rows, megabytes, dtype, problem (None, or why it cannot be
    used).

    Args:
        root: None: `teacher_cache_root()`.
    """
    root = teacher_cache_root() if root is None else root
    folders = sorted(root.iterdir()) if root.is_dir() else []
    caches = [_describe_cache(folder) for folder in folders if folder.is_dir()]
    return sorted(caches, key=lambda cache: -cache["megabytes"])


def caches_of(teachers: Iterable[Path], root: Path | None = None) -> list[Path]:
    """Return the folders of the caches that some teachers have filled, as far as caches tell.

    Args:
        teachers: folders of their models, where they were when they were asked.
        root: None: `teacher_cache_root()`.
    """
    root = teacher_cache_root() if root is None else root
    known = {teacher.resolve() for teacher in teachers}
    folders = sorted(root.iterdir()) if known and root.is_dir() else []
    return [folder for folder in folders if folder.is_dir() and _source_of(folder) in known]


def cache_damage(folder: Path) -> str:
    """Read all of a cache, and say what is wrong with it; "" for nothing."""
    try:
        meta = read_meta(folder, CACHE_FORMAT)
        Segment(folder).data(np.dtype(meta["dtype"]))
    except CacheError as error:
        return str(error)
    return ""


def _source_of(folder: Path) -> Path | None:
    """Return the folder of the model that filled a cache; None where the cache does not tell."""
    try:
        source = read_meta(folder, CACHE_FORMAT)["spec"].get("source")
    except CacheError:
        return None
    return Path(source).resolve() if source else None


def _describe_cache(folder: Path) -> dict[str, Any]:
    """Return what is known of a folder of caches, and why it cannot be used where it cannot."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    facts: dict[str, Any] = {
        "folder": str(folder),
        "source": "",
        "task": "",
        "rows": 0,
        "megabytes": size / 1e6,
        "dtype": "",
    }
    try:
        meta = read_meta(folder, CACHE_FORMAT)
        facts["source"] = meta["spec"].get("source", "")
        facts["task"] = meta["spec"].get("task", "")
        facts["rows"] = len(Segment(folder).units)
        facts["dtype"] = meta["dtype"]
    except CacheError as error:
        return facts | {"problem": str(error)}
    return facts | {"problem": None}
