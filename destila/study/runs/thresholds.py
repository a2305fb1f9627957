"""How sure a classifier must be so that its answers are right so often: chosen on dev.

A user who would rather leave a text to a person than label it wrongly wants a precision, and a
model gives probabilities. The table stands in the model's folder, where `destila predict` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from destila.types import Example, Prediction

PRECISIONS = (0.8, 0.9, 0.95, 0.98, 0.99)

_FEWEST = 20
"""Dev examples that must be left above a threshold: a share of fewer says nothing."""


def dev_thresholds(
    examples: Sequence[Example], predictions: Sequence[Prediction]
) -> list[dict[str, float]]:
    """Return the lowest threshold for each precision that dev reaches.

    A row has `precision` (wanted), `min_probability` (of the label that is given) and `share` (of
    the dev texts that then get an answer). The more are answered the better, so of all thresholds
    that reach a precision the one with the largest share is taken.

    Args:
        examples: of dev, each with one label.
        predictions: as many.
    """
    pairs = [
        (float(prediction.probabilities[0].max()), prediction.labels[0] == example.target)
        for example, prediction in zip(examples, predictions, strict=True)
        if isinstance(example.target, str)
    ]
    if not pairs:
        return []

    # The surest first; a threshold takes all that are equally sure.
    sure, right = (np.array(column) for column in zip(*sorted(pairs, reverse=True), strict=True))
    answered = np.arange(1, len(sure) + 1)
    precision = np.cumsum(right) / answered  # [N]
    last = np.append(sure[1:] < sure[:-1], True) & (answered >= min(_FEWEST, len(sure)))

    rows = []
    for wanted in PRECISIONS:
        reached = np.flatnonzero(last & (precision >= wanted))
        if not len(reached):
            continue
        place = int(reached[-1])
        # Rounded downwards, so that the text at the threshold is above it.
        least = np.floor(sure[place] * 1e6) / 1e6 if place + 1 < len(sure) else 0.0
        share = (place + 1) / len(sure)
        rows.append(
            {"precision": wanted, "min_probability": float(least), "share": round(share, 4)}
        )
    return rows
