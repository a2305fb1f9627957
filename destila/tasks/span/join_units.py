"""From the tokens of windows to one row of units per question.

Units add up the probabilities of their tokens: logits of a unit are the log-sum-exp of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from destila.types import ABSENT, Features


def window_units(feature: Features, value: np.ndarray) -> np.ndarray:
    """Add up the probabilities of tokens to those of units, as logits f32 [U, 2].

    Args:
        feature: a window of L tokens.
        value: their start and end logits [L, 2]; a unit without a token is ABSENT.
    """
    units = np.full((len(feature.owned), 2), ABSENT, np.float32)

    # tokens of a unit stand side by side, and units are in order
    kept = feature.unit >= 0
    unit = feature.unit[kept]
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    units[unit[starts]] = np.logaddexp.reduceat(value[kept], starts, axis=0)
    return units


def join_units(windows: Sequence[tuple[Features, np.ndarray]]) -> np.ndarray:
    """Join the windows of a question, f32 [cells, 2]."""
    # cells of a planned window are [low, high), so the last one ends the row
    row = np.full((max(f.planned[1] for f, _ in windows), 2), ABSENT, np.float32)
    for _, group in groupby(windows, key=lambda pair: pair[0].window):
        parts = [(feature, window_units(feature, value)) for feature, value in group]

        # a window that was read at once needs no joining
        low, high = parts[0][0].planned
        row[low:high] = parts[0][1] if len(parts) == 1 else _log_odds(parts, high - low)
    return row


def _log_odds(parts: Sequence[tuple[Features, np.ndarray]], cells: int) -> np.ndarray:
    """Join the parts of a planned window as log-odds [cells, 2] against each part's unit 0.

    Args:
        parts: features of the window and their logits [U, 2].
        cells: of the window; every one is in some part, and those in several are averaged.
    """
    total, count = np.zeros((cells, 2), np.float32), np.zeros((cells, 1), np.float32)
    for feature, logits in parts:
        own = np.asarray(feature.cells) - feature.planned[0]  # [U]
        total[own] += np.where(logits > ABSENT, logits - logits[0], ABSENT)
        count[own] += 1

    return total / count
