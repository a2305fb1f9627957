"""Fine-tune every student of a recipe on gold labels alone, test it and record it."""

from __future__ import annotations

from typing import Any

from destila.progress import Progress, silent
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """The study's report so far, as `destila run` returns it."""
    recipe = read(arguments.recipe, arguments.set)
    alone = recipe.model_copy(
        update={"teachers": ()}
    )  # no teacher is trained to measure agreement with it
    steps = Run(Study(alone), progress)
    for seed in steps.recipe.seeds:
        for student in (s for s in steps.recipe.students if s.compare):
            steps.student(student, seed, distilled=False)
    return steps.report()
