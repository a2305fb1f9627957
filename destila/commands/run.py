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
from destila.study.intake.detect import FileChoices
from destila.study.planning.recipe import read_recipe
from destila.study.run import StudyResult, run_study

_OF_A_FILE = {*FileChoices.model_fields, "teacher", "out"}
"""What `init` is given where a data file takes the place of a recipe."""

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions, FileChoices):
    """Which study, and how far; with a data file, what its recipe says."""

    recipe: str = opt(..., "recipe (TOML), or a data file")
    teacher: str | None = opt(None, "teacher, when a data file is given: folder or hub name")
    out: str | None = opt(None, "recipe to write for a data file; none = <name>.toml here")
    train_only: bool = opt(
        False, "train everything and leave tests and measurements for a quiet machine"
    )
    time_again: bool = opt(False, "time all models again, in turns, as after a busy machine")


def run(config: Config, progress: Progress = silent) -> StudyResult:
    """Run the study of a recipe and return its report.

    Raises:
        ConfigError: the recipe is wrong, or names its own teachers and one is given.
    """
    # A data file gets a recipe first, which the user can read and change afterwards.
    path = config.recipe
    given = config.model_dump(include=_OF_A_FILE, exclude_none=True)
    if not path.endswith(".toml"):
        path = init.run(init.Config(data=path, **given))["path"]
    elif given:
        raise ConfigError(
            f"--{next(iter(given))} goes with a data file; {path} says it itself: change it there, "
            "or with --set"
        )

    recipe = read_recipe(path, config.set)
    return run_study(recipe, progress, tested=not config.train_only, time_again=config.time_again)


def show(result: StudyResult) -> dict[str, Any]:
    """Return the study's models as rows, and its conclusions."""
    return study_card(result)
