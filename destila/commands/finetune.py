"""`destila finetune`: fine-tune every student of a recipe on gold labels alone, test it and record it."""

from __future__ import annotations

from destila.commands.run import Config
from destila.progress import Progress, silent
from destila.study.recipe import read_recipe
from destila.study.run import StudyResult, run_study

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> StudyResult:
    """Fine-tune the students, and return the study's report so far; no teacher is trained to measure agreement."""
    return run_study(
        read_recipe(arguments.recipe, arguments.set),
        progress,
        methods=("fine-tune",),
        tested=not arguments.train_only,
    )
