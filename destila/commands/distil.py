"""Distil every student of a recipe from its best teacher, test it and record it."""

from __future__ import annotations

from typing import Any

from destila.progress import Progress, silent
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """The study's report so far, as `destila run` returns it."""
    steps = Run(Study(read(arguments.recipe, arguments.set)), progress)
    for seed in steps.recipe.seeds:
        for student in steps.recipe.students:
            steps.student(student, seed, distilled=True)
    return steps.report()
