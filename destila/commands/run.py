"""`destila run`: the main job, from labelled data and teachers to measured students and a report."""

from __future__ import annotations

from destila.config import Options, opt
from destila.progress import Progress, silent
from destila.study.recipe import read_recipe
from destila.study.run import StudyResult, run_study


class Config(Options):
    """Arguments of `destila run`."""

    recipe: str = opt(..., "recipe file")
    set: tuple[str, ...] = opt((), "key=value overrides")
    train_only: bool = opt(
        False, "train everything and leave tests and measurements for a quiet machine"
    )


def run(arguments: Config, progress: Progress = silent) -> StudyResult:
    """Run the study of a recipe, and return its report."""
    recipe = read_recipe(arguments.recipe, arguments.set)
    return run_study(recipe, progress, tested=not arguments.train_only)
