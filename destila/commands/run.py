"""Run a study: from labelled data and a teacher to measured students and a report.

A data file does for a recipe: `init` writes the recipe first.
"""

from __future__ import annotations

from typing import Any

from destila.commands import init
from destila.commands._cards import study_card
from destila.config import RecipeOptions, opt
from destila.errors import ConfigError
from destila.progress import Progress, silent
from destila.study.planning.recipe import read_recipe
from destila.study.run import StudyResult, run_study

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions):
    """Which study, and how far."""

    recipe: str = opt(..., "recipe (TOML), or a data file")
    teacher: str | None = opt(None, "teacher, when a data file is given: folder or hub name")
    train_only: bool = opt(
        False, "train everything and leave tests and measurements for a quiet machine"
    )


def run(config: Config, progress: Progress = silent) -> StudyResult:
    """Run the study of a recipe and return its report.

    Raises:
        ConfigError: the recipe is wrong, or names its own teachers and one is given.
    """
    # A data file gets a recipe first, which the user can read and change afterwards.
    path = config.recipe
    if not path.endswith(".toml"):
        path = init.run(init.Config(data=path, teacher=config.teacher))["path"]
    elif config.teacher is not None:
        raise ConfigError(
            f"--teacher goes with a data file; {path} names its own under [[teachers]]"
        )

    recipe = read_recipe(path, config.set)
    return run_study(recipe, progress, tested=not config.train_only)


def show(result: StudyResult) -> dict[str, Any]:
    """Return the study's models as rows, and its conclusions."""
    return study_card(result)
