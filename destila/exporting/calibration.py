"""Ranges of activations on calibration texts, for int8 with fixed scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

QUANTILE = 0.9999
"""Share of a text's values that its range covers on either side; the rest is clipped."""


class Range(NamedTuple):
    """The values that 8 bits cover; 0 is always inside."""

    low: float
    high: float

    def step(self) -> tuple[float, int]:
        """The scale and the zero point of unsigned 8-bit values."""
        scale = (self.high - self.low) / 255 or 1.0
        return scale, round(-self.low / scale)


def ranges(
    proto: onnx.ModelProto,
    names: Sequence[str],
    feeds: Sequence[Mapping[str, np.ndarray]],
    quantile: float = QUANTILE,
) -> dict[str, Range]:
    """The range of each named value over all feeds: the widest of the feeds' own quantiles.

    quantile: 1.0 takes minimum and maximum.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = open_graph(watched)
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for feed in feeds:
        values = session.run(list(names), dict(feed))
        found = np.array([np.quantile(value, (1 - quantile, quantile)) for value in values])
        low, high = np.minimum(low, found[:, 0]), np.maximum(high, found[:, 1])
    return {name: Range(float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def open_graph(proto: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session of a graph in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
