"""Train a recipe's students on gold labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from destila.commands._cards import study_card
from destila.config import RecipeOptions
from destila.progress import Progress, silent

if TYPE_CHECKING:
    from destila.study.run import StudyResult

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions):
    """Which recipe."""


def run(config: Config, progress: Progress = silent) -> StudyResult:
    """Fine-tune the students and return the study's report so far; no teacher is trained."""
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.planning.recipe import read_recipe
    from destila.study.run import run_study

    # Without the method "distil" no teacher is needed.
    return run_study(read_recipe(config.recipe, config.set), progress, methods=("fine-tune",))


def show(result: StudyResult) -> dict[str, Any]:
    """Return the study's models as rows, and its conclusions."""
    return study_card(result)
