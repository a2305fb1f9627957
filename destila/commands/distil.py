"""`destila distil`: distil every student of a recipe from its best teacher, test it and record it."""

from __future__ import annotations

from destila.commands.run import Config
from destila.progress import Progress, silent
from destila.study.recipe import read_recipe
from destila.study.run import StudyResult, run_study

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> StudyResult:
    """Distil the students, and return the study's report so far."""
    return run_study(
        read_recipe(arguments.recipe, arguments.set),
        progress,
        methods=("distil",),
        tested=not arguments.train_only,
    )
