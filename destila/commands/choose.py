"""`destila choose`: rank a recipe's teachers on dev by its criterion, and say by how much the best wins."""

from __future__ import annotations

from typing import Any

from destila.commands.run import Config
from destila.progress import Progress, silent
from destila.study.checks import check_study
from destila.study.data import load_study
from destila.study.plans import list_teachers
from destila.study.recipe import read_recipe
from destila.study.training import make_ready

__all__ = ["Config", "run"]


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `{"study", "criterion", "main", "teachers": [{"model", "dev", "dev_loss", "behind"}]}`, best first.

    behind: how far a teacher is from the best by the criterion (score points, or loss). Teachers that need it
    are fine-tuned first; `destila run` uses the same ones.
    """
    recipe = read_recipe(arguments.recipe, arguments.set)
    study = load_study(recipe)
    check_study(study)

    teachers = list_teachers(study)
    make_ready(study, teachers, progress)
    ranked = teachers.ranked()
    best = ranked[0]
    by_loss = recipe.choose == "loss"
    rows = [
        {
            "model": teacher.spec.label,
            "dev": teacher.dev,
            "dev_loss": teacher.dev_loss,
            "behind": teacher.dev_loss - best.dev_loss if by_loss else best.dev - teacher.dev,
        }
        for teacher in ranked
    ]
    return {
        "study": recipe.name,
        "criterion": recipe.choose,
        "main": study.main,
        "teachers": rows,
    }
