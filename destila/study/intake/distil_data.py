"""Run the study of a data file without a recipe on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila import records
from destila.progress import Progress, silent
from destila.records import Record
from destila.study.intake.detect import detect, recipe_for
from destila.study.planning.data import load_study
from destila.study.planning.recipe import Recipe
from destila.study.run import run_study


@dataclass(frozen=True, slots=True)
class FinishedStudy:
    """A study that has run: a row per model, every record, and the folder of its models."""

    table: list[dict[str, Any]]
    records: list[Record]
    folder: Path


def distil_data(
    data: str | Path,
    *,
    teacher: str | None = None,
    columns: dict[str, str],
    out: str | Path = "runs",
    progress: Progress = silent,
) -> FinishedStudy:
    """Distil a student from a data file, as `destila run DATA --teacher TEACHER` does.

    Args:
        data: CSV, TSV, JSON, column, CoNLL-U or SQuAD file.
        teacher: folder or hub name; None: a teacher is trained from scratch.
        columns: options of the data set that replace what was detected, such as `text` or `label`.
        out: folder of studies.
        progress: called with the name of a step, how much of it is done, and how much there is.
    """
    # The file says most; what was given by hand wins.
    recipe = recipe_for(detect(str(data)), Path(data), teacher)
    changes = {"data": recipe.data | columns, "out": str(out)}
    return run_whole(recipe.model_copy(update=changes), progress)


def run_whole(recipe: Recipe, progress: Progress = silent) -> FinishedStudy:
    """Run a study and return what it left: its table, its records and its folder."""
    result = run_study(recipe, progress)
    path = load_study(recipe).records_path
    return FinishedStudy(result.get("rows", []), records.read_records(path), recipe.folder)
