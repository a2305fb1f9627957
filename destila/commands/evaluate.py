"""Score a model folder on a recipe's test (or dev) split and measure it: one Record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from destila.config import Options, opt
from destila.progress import Progress, silent
from destila.study.data import Study
from destila.study.recipe import TeacherSpec, read
from destila.study.run import Run


class Config(Options):
    """Arguments of the verb."""

    recipe: str = opt(..., "recipe file: its data, labels and settings")
    model: str = opt(..., "model folder or hub name with a head for the recipe's labels")
    split: Literal["test", "dev"] = opt("test", "split to score; keep test for the final number")
    set: tuple[str, ...] = opt((), "key=value overrides")


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """The Record as a dict; nothing is added to the study's records."""
    recipe = read(arguments.recipe, arguments.set)
    steps = Run(Study(recipe, needs=(arguments.split,)), progress)
    return asdict(
        steps.evaluate(
            TeacherSpec(model=arguments.model, name=Path(arguments.model).name), arguments.split
        )
    )
