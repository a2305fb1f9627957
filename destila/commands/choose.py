"""Rank a recipe's teachers on dev."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import command_line
from destila.config import RecipeOptions
from destila.progress import Progress, silent
from destila.report.words import score_name

PANEL = "A study"
RESUMES = True


class Config(RecipeOptions):
    """Which recipe."""


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return `study`, `recipe`, `criterion`, `main` and `teachers`, the best first.

    A teacher has `model`, `dev`, `dev_loss` and `behind`: how far it is from the best by the
    criterion (score points, or loss). Teachers that need it are fine-tuned first; `destila run`
    uses the same ones.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.study.checks import check_study
    from destila.study.planning.data import load_study
    from destila.study.planning.plans import list_teachers
    from destila.study.planning.recipe import read_recipe
    from destila.study.run import holding
    from destila.study.runs.training import make_ready

    recipe = read_recipe(config.recipe, config.set)
    study = load_study(recipe)
    check_study(study)

    # A teacher without a head for these labels is fine-tuned before it can be scored.
    teachers = list_teachers(study)
    with holding(study):
        make_ready(study, teachers, progress)

    # How far behind: a loss is better when it is lower, a score when it is higher.
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

    # The score that `criterion` looks at is the task's main one.
    return {
        "study": recipe.name,
        "recipe": config.recipe,
        "criterion": recipe.choose,
        "main": study.main,
        "teachers": rows,
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the teachers as rows."""
    title = f"teachers by {result['criterion']} on dev ({score_name(result['main'])})"
    behind = "behind" if result["criterion"] == "loss" else "behind_score"
    rows = [
        {
            "model": teacher["model"],
            "dev_score": teacher["dev"],
            "dev_loss": teacher["dev_loss"],
            behind: teacher["behind"],
        }
        for teacher in result["teachers"]
    ]
    return {"title": title, "rows": rows, "next": command_line("run", result["recipe"])}
