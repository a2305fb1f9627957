"""Score and measure a model folder on a recipe's test or dev split."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from destila.commands._cards import NEW_TEXT, command_line
from destila.config import RecipeOptions, opt
from destila.progress import Progress, silent
from destila.report.words import score_name
from destila.study.planning.data import load_study
from destila.study.planning.recipe import TeacherSpec, read_recipe
from destila.study.recording import evaluate_folder

PANEL = "A study"


class Config(RecipeOptions):
    """Which model, on which split."""

    model: str = opt(
        ..., "model folder or hub name with a head for the recipe's labels", flag="--model"
    )
    split: Literal["test", "dev"] = opt("test", "split to score; keep test for the final number")


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return the Record as a dict; nothing is added to the study's records."""
    # Only the split that is scored has to be there.
    recipe = read_recipe(config.recipe, config.set)
    study = load_study(recipe, needs=(config.split,))

    # Any finished model is read like a teacher: by its folder alone.
    spec = TeacherSpec(model=config.model, name=Path(config.model).name)
    return asdict(evaluate_folder(study, spec, config.split, progress))


def show(result: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return the scores as rows."""
    rows = [{"score": score_name(name), "value": value} for name, value in result["scores"].items()]
    following = command_line("predict", config.model, "--text", NEW_TEXT)
    if result["conditions"]["backend"] == "torch":
        following = command_line("export", config.model)
    title = f"{result['run']}: {result['split']} of {result['dataset']}"
    return {"title": title, "rows": rows, "next": following}
