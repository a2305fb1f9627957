"""The answer that needs no text: the most frequent label of the training split, for everything.

Whatever scores no higher has learned nothing of use, however high its accuracy looks where one
class is most of the data. Where a text has several labels, it is the set of frequent ones that
scores best. It costs nothing, so it is neither timed nor weighed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from destila.errors import DataError
from destila.types import Example, Prediction


class Majority:
    """The answer for every text; `size_bytes` 0, as there is nothing to keep.

    Args:
        shares: of each label in the training split, [C].
        labels: in their order.
        answer: those that are always given.
    """

    name = "majority"
    parameters = 0
    size_bytes = 0

    def __init__(self, shares: np.ndarray, labels: Sequence[str], answer: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._shares, self._answer = shares, tuple(answer)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predict the same labels for each example, with the shares as probabilities."""
        return [Prediction(self._answer, self._shares[None]) for _ in examples]


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Majority:  # noqa: ARG001
    """Count the labels of a training split; among equally frequent ones the first wins.

    Raises:
        DataError: there is no labelled example.
    """
    several = any(isinstance(example.target, tuple) for example in train)
    counts: Counter[str] = Counter()
    for example in train:
        target = example.target or ()
        counts.update([target] if isinstance(target, str) else target)
    values = np.array([counts[label] for label in labels], np.float64)  # [C]
    if not values.sum():
        raise DataError("the majority baseline needs labelled examples, the training split has 0")

    # The most frequent ones first; of equally frequent ones the first in the order of labels.
    order = np.argsort(-values, kind="stable")
    length = _best_length(values[order], len(train)) if several else 1
    chances = values / (len(train) if several else values.sum())
    return Majority(chances, labels, [labels[int(i)] for i in order[:length]])


def _best_length(counts: np.ndarray, examples: int) -> int:
    """Return how many of the most frequent labels, given to all texts, have the best micro F1.

    Args:
        counts: of the labels, the largest first.
        examples: of which these are counts.
    """
    given = examples * np.arange(1, len(counts) + 1)
    scores = 2 * np.cumsum(counts) / (given + counts.sum())
    return int(scores.argmax()) + 1
