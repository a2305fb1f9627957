"""Channels of an activation evened out before 8 bits, for the price of a product by constants.

A few channels of a trained encoder are a hundred times as large as the others, and the one scale of
an activation is theirs: the others are rounded to a handful of steps. Weights have a step for each
column and room to spare. So every channel j is divided by s_j = max|x_j|^a / max|W_j|^(1-a) and its
row of the weights multiplied by it, which changes nothing in exact numbers: SmoothQuant, Xiao et
al. 2023 (arXiv 2211.10438), eq. 4. What several products read has one s, of their largest weight; a
block that is shared over layers has one s for all of them.

a = 0.75 moved the logits least of 0.5 to 0.9, of a teacher of twelve layers and of its student.
Most of the gain is in what goes into the feed-forward parts, whose largest channels are 8 to 40
times the median; the others, below UNEVEN, are left as they are, as each costs a node.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from destila.exporting.calibration import Calibration

ALPHA = 0.75
"""How much of the difficulty goes to the weights: 0 none, 1 all of it."""

UNEVEN = 6.0
"""An activation is evened out when its largest channel is so many times the median one."""


def smoothing_of(
    proto: onnx.ModelProto,
    names: frozenset[str],
    calibration: Calibration,
    *,
    alpha: float = ALPHA,
    uneven: float = UNEVEN,
) -> dict[str, np.ndarray]:
    """Return what uneven activations' channels are divided by, f32 [H], by the activation's name.

    Args:
        proto: the fp32 graph.
        names: of the products that become int8.
        calibration: of the same graph.
        alpha: see ALPHA.
        uneven: see UNEVEN.
    """
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    chosen = [node for node in proto.graph.node if node.name in names]
    magnitude = calibration.largest(sorted({node.input[0] for node in chosen}))

    # Activations that meet the same weight, in one layer or in several, belong together.
    together: dict[str, set[str]] = {}
    for node in chosen:
        x, weight = node.input
        group = {x, weight} | together.get(x, set()) | together.get(weight, set())
        together |= dict.fromkeys(group, group)

    factors: dict[str, np.ndarray] = {}
    for node in chosen:
        group = together[node.input[0]]
        inputs = [magnitude[name] for name in group if name in magnitude]
        rows = [
            np.abs(numpy_helper.to_array(weights[name])).max(axis=1)
            for name in group
            if name in weights
        ]
        x, w = np.max(inputs, axis=0), np.max(rows, axis=0)  # [H]
        if x.max() < uneven * np.median(x):
            continue
        # A channel that is always 0, or that nobody reads, stays as it is.
        factor = np.where((x > 0) & (w > 0), x**alpha / np.maximum(w, 1e-12) ** (1 - alpha), 1.0)
        factors[node.input[0]] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
    return factors
