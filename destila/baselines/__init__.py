"""What a user could have instead of an encoder: classical models that train on a CPU in seconds.

The report puts them beside the students and says plainly when they win. A task names its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Protocol

from destila.plugins import find
from destila.types import Example, Prediction


class Baseline(Protocol):
    """A trained baseline: its plug-in's name, its number of weights and the bytes they take."""

    name: str
    parameters: int
    size_bytes: int

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predict the label or tags of each example, in order."""


def baseline_of(name: str) -> ModuleType:
    """Find a baseline plug-in by its name, with `fit(train, labels, *, seed) -> Baseline`."""
    return find("baselines", name, "fit")
