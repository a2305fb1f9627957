"""Several teachers heard as one: a weighted mean of what they say of the same units.

    probabilities   z = log sum_k w_k softmax(z_k)     the mean prediction (Hinton et al. 2015, section 3, arithmetic)
    logits          z = sum_k w_k z_k                  softmax(z) is the normalised geometric mean

Weights sum to 1. Temperature acts on the mean. A teacher that does not hold a unit (its logits are ABSENT: the word
was cut off, or its window holds fewer units) has no say there. Over classes (axis 2) the others' weights are then
rescaled; over units (axis 1) it gives the unit a probability of 0, and a unit that any teacher lacks has no mean of
logits and is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from destila.errors import ConfigError
from destila.types import ABSENT

Mean = Literal["probabilities", "logits"]


def combine_logits(
    said: Sequence[np.ndarray], weights: Sequence[float], *, mean: Mean, axis: int
) -> np.ndarray:
    """Logits [U, C] of the ensemble, float32, from each teacher's logits [U, C] of the same units.

    axis: 2 when the classes of a unit are a distribution, 1 when the units are (start and end apart).
    """
    logits = np.stack(said).astype(np.float64)  # [K, U, C]
    has = (logits > ABSENT).any(2, keepdims=True)  # [K, U, 1]
    share = np.asarray(weights, np.float64)[:, None, None]
    if axis == 2:
        share = share * has
        share = share / np.maximum(share.sum(0), np.finfo(np.float64).tiny)
    if mean == "logits":
        mixed = (share * np.where(has, logits, 0.0)).sum(0)
        known = has.any(0) if axis == 2 else has.all(0)
    else:
        # the classes are the last axis of [K, U, C], the units the one before
        log_p = _log_softmax(
            np.where(has, logits, -np.inf) if axis == 1 else logits, -1 if axis == 2 else 1
        )
        with np.errstate(divide="ignore"):
            mixed = np.logaddexp.reduce(log_p + np.log(share), axis=0)
        known = has.any(0)
    found: np.ndarray = np.where(known, np.maximum(mixed, ABSENT + 1), ABSENT).astype(np.float32)
    return found


def ensemble_weights(chosen: str | Sequence[float], dev: Sequence[float]) -> list[float]:
    """The teachers' weights, which sum to 1.

    chosen: "equal"; "dev", in proportion to the main dev scores (equal when all are 0); or one number per teacher.
    dev: main dev score of each. Raises ConfigError for numbers that do not fit.
    """
    if isinstance(chosen, str):
        raw = list(dev) if chosen == "dev" and max(dev) > 0 else [1.0] * len(dev)
        raw = [max(0.0, score) for score in raw]
    else:
        raw = [float(weight) for weight in chosen]
        if len(raw) != len(dev) or min(raw) < 0 or sum(raw) <= 0:
            raise ConfigError(
                f"distil.ensemble.weights = {raw}: give {len(dev)} numbers from 0 up, one per teacher, not all 0"
            )
    return [weight / sum(raw) for weight in raw]


def _log_softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    top = logits.max(axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        found: np.ndarray = logits - top - np.log(np.exp(logits - top).sum(axis, keepdims=True))
    return found
