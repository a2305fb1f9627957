"""Detect task and columns of a data file and write a complete recipe.

Every option is written out with its help, but for those that only reproduce published code.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from destila.commands._cards import command_line
from destila.config import opt, to_toml
from destila.datasets._split import count_labels
from destila.errors import ConfigError
from destila.files import write_text
from destila.study.intake.file_choices import FileChoices

PANEL = "A study"

log = logging.getLogger(__name__)


class Config(FileChoices):
    """Which data, and who teaches."""

    data: str = opt(..., "CSV, TSV, Excel, JSON lines, CoNLL, CoNLL-U or SQuAD JSON file")
    teacher: str | None = opt(
        None, "teacher: folder, hub name, or JSON lines of labels; none = one trained from scratch"
    )
    out: str | None = opt(None, "recipe to write; none = <name of the study>.toml here")


def run(config: Config) -> dict[str, Any]:
    """Write the recipe; return its path, the task, columns, labels and numbers of examples.

    Raises:
        DataError: the file cannot be read as examples.
        ConfigError: another recipe is in the way.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.intake.detect import detect, recipe_for
    from destila.study.intake.recipe_remarks import recipe_remarks

    data = detect(config.data, config)
    recipe = recipe_for(data, Path(config.data), config.teacher, config)
    path = Path(config.out or f"{recipe.name}.toml")

    # The same recipe again is no reason to stop; another one may hold somebody's changes.
    text = to_toml(recipe, reproduction=False)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give --out a file")
    if path.exists() and path.read_bytes() != text.encode():
        raise ConfigError(
            f"{path} exists and says something else: run it (destila run {path}), move it, "
            "or give --out or --name"
        )
    write_text(path, text)

    # What was chosen is said by `run` too, which writes a recipe on its way.
    remarks = [*data.remarks, *recipe_remarks(data, config.teacher)]
    for remark in remarks:
        log.info(remark)

    # The files of the splits are no columns.
    files = ("train", "dev", "test")
    return {
        "path": str(path),
        "task": data.task,
        "use": data.use,
        "columns": {k: v for k, v in data.options.items() if k not in files},
        "labels": list(data.labels),
        "label_counts": dict(count_labels(data.dataset.splits["train"])),
        "rows": {name: len(examples) for name, examples in data.dataset.splits.items()},
        "students": {student.label: student.layers for student in recipe.students},
        "notes": dict(data.dataset.notes),
        "remarks": remarks,
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return what was detected, for the user to check before anything is trained."""
    counts = {each: result["label_counts"].get(each, 0) for each in result["labels"]}
    counts = counts if any(counts.values()) else {}  # start and end of an answer are no labels
    shown = {
        "recipe": result["path"],
        "task": result["task"],
        **result["columns"],
        "labels": ", ".join(f"{each} ({counts[each]:,})" for each in result["labels"] if counts),
        "examples": ", ".join(f"{split} {n:,}" for split, n in result["rows"].items()),
        "students": ", ".join(
            f"{name} ({layers} layers)" if layers else name
            for name, layers in result["students"].items()
        ),
        **result["notes"],
    }
    shown = {key: value for key, value in shown.items() if value != ""}
    return {
        "title": "recipe written",
        "rows": [{"key": key, "value": value} for key, value in shown.items()],
        "next": [command_line("data", result["path"]), command_line("run", result["path"])],
    }
