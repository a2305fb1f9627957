"""Score a model folder on a recipe's test (or dev) split and measure it: one Record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from destila.config import Options, opt
from destila.progress import Progress, silent
from destila.study.data import load_study
from destila.study.recipe import TeacherSpec, read_recipe
from destila.study.recording import evaluate_folder


class Config(Options):
    """Arguments of the verb."""

    recipe: str = opt(..., "recipe file: its data, labels and settings")
    model: str = opt(..., "model folder or hub name with a head for the recipe's labels")
    split: Literal["test", "dev"] = opt("test", "split to score; keep test for the final number")
    set: tuple[str, ...] = opt((), "key=value overrides")


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """Return the Record as a dict; nothing is added to the study's records."""
    recipe = read_recipe(arguments.recipe, arguments.set)
    study = load_study(recipe, needs=(arguments.split,))
    spec = TeacherSpec(model=arguments.model, name=Path(arguments.model).name)
    return asdict(evaluate_folder(study, spec, arguments.split, progress))
