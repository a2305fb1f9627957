"""Check a recipe's data before training."""

from __future__ import annotations

from typing import Any

from destila.config import RecipeOptions
from destila.study.intake.data_report import report_data
from destila.study.planning.recipe import read_recipe

PANEL = "A study"


class Config(RecipeOptions):
    """Whose data."""


def run(config: Config) -> dict[str, Any]:
    """Return the report on a recipe's data and the tokenizers of its models."""
    # No model is loaded: the tokenizers alone say what is cut and what is unknown.
    return report_data(read_recipe(config.recipe, config.set))
