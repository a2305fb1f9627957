"""Which teacher caches lie on this machine, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
