"""Read everything of a study again: models, exports, records, teacher caches; name what is damaged.

A run itself notices models that are gone or cut; this compares every byte with what was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.progress import Progress, silent

PANEL = "A study"


class Config(Options):
    """Which study."""

    study: str = opt(..., "folder of a study, such as runs/reviews")


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `rows`, one for everything that was read, and `failed`, a line for what is damaged.

    Raises:
        ConfigError: there is no study.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.verify import verify_study

    rows = verify_study(Path(config.study), progress)
    damaged = [f"{row['what']} {row['where']}: {row['damage']}" for row in rows if row["damage"]]
    return {"study": config.study, "rows": rows, "failed": damaged}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the rows, whole or not, and how many there are of each."""
    rows = [
        {"what": row["what"], "where": row["where"], "state": "damaged" if row["damage"] else "ok"}
        for row in result["rows"]
    ]
    damaged = len(result["failed"])
    # What is damaged is made again by the study's own command.
    again = ("run", f"{result['study']}/recipe.toml") if damaged else ("report", result["study"])
    lines = [f"{len(rows)} read, {damaged} damaged"]
    return {"rows": rows, "lines": lines, "next": command_line(*again)}
