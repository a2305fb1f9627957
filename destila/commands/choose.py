"""Rank a recipe's teachers on dev by its criterion, and say by how much the best wins."""

from __future__ import annotations

from typing import Any

from destila.progress import Progress, silent
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """`{"study", "criterion", "main", "teachers": [{"model", "dev", "dev_loss", "behind"}]}`, best first.

    behind: how far a teacher is from the best by the criterion (score points, or loss). Teachers that need it
    are fine-tuned first; `destila run` uses the same ones.
    """
    steps = Run(Study(read(arguments.recipe, arguments.set)), progress)
    best = steps.teachers.ranked[0]
    by_loss = steps.recipe.choose == "loss"
    teachers = [
        {
            "model": c.spec.label,
            "dev": c.dev,
            "dev_loss": c.dev_loss,
            "behind": c.dev_loss - best.dev_loss if by_loss else best.dev - c.dev,
        }
        for c in steps.teachers.ranked
    ]
    return {
        "study": steps.recipe.name,
        "criterion": steps.recipe.choose,
        "main": steps.study.main,
        "teachers": teachers,
    }
