"""A baseline for several labels a text: `tfidf.py`, with a logistic regression for every label.

A label that rules out no other is a question of its own (binary relevance). Labels are given from
the probability on that the training split wants: of a few thresholds the one with the best
micro-averaged F1 there, in answers of models that had not seen the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from destila.baselines.tfidf import count_parameters_and_bytes, fit_vectorizers, tfidf_matrix
from destila.errors import DataError, require
from destila.types import Example, Prediction

_THRESHOLDS = np.arange(0.1, 0.55, 0.05)
_FOLDS = 3


class TfidfLabels:
    """A trained baseline. `size_bytes` as in `tfidf.py`."""

    name = "tfidf_labels"

    def __init__(
        self, vectorizers: Sequence[Any], models: Sequence[Any], labels: Sequence[str], least: float
    ) -> None:
        """Keep what was fitted.

        Args:
            vectorizers: of words and of characters.
            models: one per label, or the probability of a label that all texts have, or none.
            labels: in the order of the probabilities.
            least: probability from which on a label is given.
        """
        self.labels, self.least = tuple(labels), least
        self._vectorizers, self._models = vectorizers, models
        weights = sum(int(m.coef_.size) + 1 for m in models if not isinstance(m, float))
        self.parameters, self.size_bytes = count_parameters_and_bytes(vectorizers, weights)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predict the labels of each example, with the probability of every one, [1, C]."""
        if not examples:
            return []
        matrix = tfidf_matrix(self._vectorizers, examples)
        chances = _probabilities(self._models, matrix)  # [N, C]
        given = [np.flatnonzero(row >= self.least) for row in chances]
        return [
            Prediction(tuple(self.labels[int(i)] for i in some), row[None])
            for some, row in zip(given, chances, strict=True)
        ]


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> TfidfLabels:
    """Train the baseline on labelled examples.

    Args:
        train: single texts or pairs with a tuple of labels each, perhaps empty.
        labels: all labels, in the order of the probabilities.
        seed: of the solver.

    Raises:
        DataError: an example has no labels, or there is no word at all.
    """
    targets = _targets(train, labels)  # [N, C]
    vectorizers = fit_vectorizers(train)
    matrix = tfidf_matrix(vectorizers, train)
    models = [_model(matrix, column, seed) for column in targets.T]

    # Rare labels seldom reach a half; texts that a model has seen would say too much.
    unseen = np.zeros(targets.shape)  # [N, C]
    for fold in range(_FOLDS):
        out = np.arange(len(train)) % _FOLDS == fold
        if out.any() and not out.all():
            some = [_model(matrix[~out], column[~out], seed) for column in targets.T]
            unseen[out] = _probabilities(some, matrix[out])
    best = max(_THRESHOLDS[::-1], key=lambda least: _micro_f1(unseen >= least, targets))
    return TfidfLabels(vectorizers, models, labels, float(best))


def _model(matrix: Any, column: np.ndarray, seed: int) -> Any:
    """Fit the regression of a label; its share where all texts have it, or none."""
    if len(set(column.tolist())) < 2:
        return float(column.mean())
    linear = require("sklearn.linear_model", "baseline")
    return linear.LogisticRegression(C=10.0, max_iter=500, random_state=seed).fit(matrix, column)


def _probabilities(models: Sequence[Any], matrix: Any) -> np.ndarray:
    """Return the probability of every label for every row, [N, C]."""
    rows = matrix.shape[0]
    columns = [
        np.full(rows, m) if isinstance(m, float) else m.predict_proba(matrix)[:, 1] for m in models
    ]
    return np.stack(columns, axis=1)


def _targets(train: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Return 1 for every label that an example has, [N, C]; raise DataError without any tuple."""
    targets = np.zeros((len(train), len(labels)), np.int64)
    for row, example in enumerate(train):
        if not isinstance(example.target, tuple):
            raise DataError(
                f"example '{example.id}' has no labels: the TF-IDF baseline needs labelled examples"
            )
        targets[row] = np.isin(np.array(labels), list(example.target))
    return targets


def _micro_f1(given: np.ndarray, targets: np.ndarray) -> float:
    """Return the F1 over all labels of all examples; 0 where nothing is given."""
    right = int((given & (targets == 1)).sum())
    return 2 * right / max(1, int(given.sum()) + int(targets.sum()))
