"""Several teachers taken as one: a weighted mean of their logits for the same units.

    probabilities   z = log sum_k w_k softmax(z_k)     the mean prediction (Hinton et al. 2015,
    section 3) logits          z = sum_k w_k z_k                  softmax(z) is the normalised
    geometric mean

Weights sum to 1. Temperature acts on the mean. A teacher that does not hold a unit (its logits are
ABSENT: the word was cut off, or its window holds fewer units) has no say there. Over classes (axis
2) the others' weights are then rescaled; over units (axis 1) it gives the unit a probability of 0,
and a unit that any teacher lacks has no mean of logits and is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from destila.errors import ConfigError
from destila.types import ABSENT

Mean = Literal["probabilities", "logits"]


def combine_logits(
    teachers: Sequence[np.ndarray], weights: Sequence[float], *, mean: Mean, axis: int
) -> np.ndarray:
    """Return the ensemble's logits [U, C], float32.

    Args:
        teachers: each one's logits [U, C] of the same units.
        weights: one per teacher; they sum to 1.
        mean: of probabilities or of logits.
        axis: 2 when the classes of a unit are a distribution, 1 when the units are (start and end
            apart).
    """
    logits = np.stack(teachers).astype(np.float64)  # [K, U, C]
    has = np.asarray((logits > ABSENT).any(2, keepdims=True))  # [K, U, 1]
    share = np.asarray(weights, np.float64)[:, None, None]  # [K, 1, 1]

    # over classes, those that hold a unit share out the weight of those that do not
    if axis == 2:
        share = share * has  # [K, U, 1]
        share = share / np.maximum(share.sum(0), np.finfo(np.float64).tiny)

    if mean == "logits":
        mixed = (share * np.where(has, logits, 0.0)).sum(0)  # [U, C]
        known = has.any(0) if axis == 2 else has.all(0)  # [U, 1]
    else:
        # the softmax runs over the classes, or over the units, without those that are absent
        log_p = _log_softmax(logits, 2) if axis == 2 else _log_softmax(_without(logits, has), 1)
        with np.errstate(divide="ignore"):
            mixed = np.logaddexp.reduce(log_p + np.log(share), axis=0)  # [U, C]
        known = has.any(0)  # [U, 1]

    combined: np.ndarray = np.where(known, np.maximum(mixed, ABSENT + 1), ABSENT)
    return combined.astype(np.float32)


def ensemble_weights(chosen: str | Sequence[float], dev: Sequence[float]) -> list[float]:
    """Return the teachers' weights, which sum to 1.

    Args:
        chosen: "equal"; "dev", in proportion to the main dev scores (equal when all are 0); or one
            number per teacher.
        dev: the main dev score of each.

    Raises:
        ConfigError: the numbers do not fit.
    """
    if isinstance(chosen, str):
        by_score = chosen == "dev" and max(dev) > 0
        raw = [max(0.0, score) for score in dev] if by_score else [1.0] * len(dev)
    else:
        raw = [float(weight) for weight in chosen]
        if len(raw) != len(dev) or min(raw) < 0 or sum(raw) <= 0:
            raise ConfigError(
                f"distil.ensemble.weights = {raw}: give {len(dev)} numbers from 0 up, "
                "one per teacher, not all 0"
            )

    return [weight / sum(raw) for weight in raw]


def _without(logits: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Return logits [K, U, C] with -inf at the units that a teacher lacks."""
    masked: np.ndarray = np.where(has, logits, -np.inf)
    return masked


def _log_softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    """Return log-probabilities along an axis; its values may be -inf, even all of them."""
    top = logits.max(axis, keepdims=True)
    shifted = logits - np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        log_p: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return log_p
