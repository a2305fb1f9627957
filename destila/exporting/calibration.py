"""Ranges of activations on calibration texts, for int8 with fixed scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    import onnxruntime

QUANTILE = 0.9999
"""Share of a text's values that its range covers on either side; the rest is clipped."""


class Range(NamedTuple):
    """The values that 8 bits cover; 0 is always inside."""

    low: float
    high: float

    def step(self) -> tuple[float, int]:
        """Return the scale and the zero point of unsigned 8-bit values."""
        scale = (self.high - self.low) / 255 or 1.0
        return scale, round(-self.low / scale)


def ranges(
    proto: onnx.ModelProto,
    names: Sequence[str],
    feeds: Sequence[Mapping[str, np.ndarray]],
    quantile: float = QUANTILE,
) -> dict[str, Range]:
    """Return the range of each named value over all feeds: the widest of the feeds' quantiles.

    Args:
        proto: the fp32 graph.
        names: of activations in it.
        feeds: its inputs on the calibration texts.
        quantile: share of values inside, on either side; 1.0 takes minimum and maximum.
    """
    # The same graph, with the activations as its outputs.
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    del watched.graph.output[:]
    for name in names:
        watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = open_graph(watched)

    # Quantiles of each text, not of all: one long text must not hide the others.
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for feed in feeds:
        values = session.run(list(names), dict(feed))
        bounds = np.array([np.quantile(value, (1 - quantile, quantile)) for value in values])
        low = np.minimum(low, bounds[:, 0])  # [N], as bounds is [N, 2]
        high = np.maximum(high, bounds[:, 1])

    return {name: Range(float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def open_graph(proto: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return an onnxruntime session of a graph in memory."""
    import onnxruntime  # not for those who only import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
