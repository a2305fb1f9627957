"""How far probabilities are from what happens: the expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from destila.errors import DataError

BINS = 15
"""Bins of the expected calibration error."""


def ece(gold: Sequence[str], labels: Sequence[str], probabilities: np.ndarray) -> float:
    """Compute the expected calibration error: the mean gap of confidence and accuracy.

    The gap of a bin counts by the examples in it.

    Args:
        gold: the label of each of N units.
        labels: all there are, in the order of the probabilities.
        probabilities: [N, C].

    Raises:
        DataError: the probabilities have another shape.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (len(gold), len(labels)):
        raise DataError(
            f"probabilities have shape {probabilities.shape}, expected"
            f" {(len(gold), len(labels))}: one row per label"
        )

    # how sure the model is of its best label, and whether it is right
    confidence = probabilities.max(axis=1)  # [N]
    best = np.array([labels[i] for i in probabilities.argmax(axis=1)])
    right = best == np.asarray(gold)

    # a bin holds its upper edge; its summed gap is what it weighs in the mean over units
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(gold))
