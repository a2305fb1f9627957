"""Fetch a published data set from where it is published: checked, and gone on with after a cut."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.fetching.fetch import fetch_dataset
from destila.fetching.places import PLACES
from destila.progress import Progress, silent

PANEL = "Around it"
RESUMES = True


class Config(Options):
    """Which data set, and where it goes."""

    name: str = opt(..., "data set, as `destila list datasets` names it")
    root: str | None = opt(None, "folder for the files; none = its own under DESTILA_DATA")


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `dataset`, `licence`, and `files` with whether each was fetched.

    Raises:
        ConfigError: the data set is not fetched, or there is no place for it.
        DataError: a file cannot be had, or is another one than the published one.
    """
    files = fetch_dataset(config.name, progress, root=config.root)
    return {"dataset": config.name, "licence": PLACES[config.name].licence, "files": files}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the files as rows, and the licence."""
    return {
        "title": result["dataset"],
        "rows": [{"file": name, "state": state} for name, state in result["files"].items()],
        "lines": [f"licence: {result['licence']}"],
        "next": command_line("list", "datasets"),
    }
