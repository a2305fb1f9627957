"""Detect task and columns of a data file and write a complete recipe.

Every option is written out with its help, but for those that only reproduce published code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.config import Options, opt, to_toml
from destila.errors import ConfigError
from destila.files import write_text
from destila.study.intake.detect import detect, recipe_for

PANEL = "A study"


class Config(Options):
    """Which data, and who teaches."""

    data: str = opt(..., "CSV, TSV, JSON, column, CoNLL-U or SQuAD file")
    teacher: str | None = opt(
        None, "folder or hub name of the teacher; none = a teacher trained from scratch"
    )
    out: str | None = opt(None, "recipe to write; none = <name of the data file>.toml here")


def run(config: Config) -> dict[str, Any]:
    """Write the recipe; return its path, the task, columns, labels and numbers of examples.

    Raises:
        DataError: the file cannot be read as examples.
        ConfigError: another recipe is in the way.
    """
    data = detect(config.data)
    recipe = recipe_for(data, Path(config.data), config.teacher)
    path = Path(config.out or f"{recipe.name}.toml")

    # The same recipe again is no reason to stop; another one may hold somebody's changes.
    text = to_toml(recipe, reproduction=False)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{path} exists and says something else: run it (destila run {path}), move it, "
            "or give --out"
        )
    write_text(path, text)

    # The files of the splits are no columns.
    files = ("train", "dev", "test")
    # What was detected, for the user to check before anything is trained.
    return {
        "path": str(path),
        "task": data.task,
        "use": data.use,
        "columns": {k: v for k, v in data.options.items() if k not in files},
        "labels": list(data.labels),
        "rows": {name: len(examples) for name, examples in data.dataset.splits.items()},
        "notes": dict(data.dataset.notes),
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the recipe as rows."""
    return {
        "title": "recipe written",
        "rows": [{"key": key, "value": value} for key, value in result.items()],
    }
