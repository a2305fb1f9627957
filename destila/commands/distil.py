"""Train a recipe's students on its best teacher's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from destila.commands._cards import study_card
from destila.config import RecipeOptions
from destila.errors import ConfigError
from destila.progress import Progress, silent

if TYPE_CHECKING:
    from destila.study.run import StudyResult

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions):
    """Which recipe."""


def run(config: Config, progress: Progress = silent) -> StudyResult:
    """Distil the students and return the study's report so far.

    Raises:
        ConfigError: the recipe has no teachers.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.planning.recipe import read_recipe
    from destila.study.run import run_study

    recipe = read_recipe(config.recipe, config.set)
    if not recipe.teachers:
        raise ConfigError(f"recipe '{recipe.name}' has no [[teachers]]: give at least one")

    # The baseline and fine-tuned students are another command's.
    return run_study(recipe, progress, methods=("distil",))


def show(result: StudyResult) -> dict[str, Any]:
    """Return the study's models as rows, and its conclusions."""
    return study_card(result)
