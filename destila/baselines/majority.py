"""The answer that needs no text: the most frequent label of the training split, for everything.

Whatever scores no higher has learned nothing of use, however high its accuracy looks where one
class is most of the data. It costs nothing, so it is neither timed nor weighed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from destila.errors import DataError
from destila.types import Example, Prediction


class Majority:
    """The shares of the labels in a training split; `size_bytes` 0, as there is nothing to keep."""

    name = "majority"
    parameters = 0
    size_bytes = 0

    def __init__(self, shares: np.ndarray, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._shares = shares  # [C]

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predict the most frequent label for each example, with the shares as probabilities."""
        label = self.labels[int(self._shares.argmax())]
        return [Prediction((label,), self._shares[None]) for _ in examples]


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Majority:  # noqa: ARG001
    """Count the labels of a training split; among equally frequent ones the first wins.

    Raises:
        DataError: there is no labelled example.
    """
    counts = Counter(str(example.target) for example in train if example.target is not None)
    shares = np.array([counts[label] for label in labels], np.float64)
    if not shares.sum():
        raise DataError("the majority baseline needs labelled examples, the training split has 0")
    return Majority(shares / shares.sum(), labels)
