"""What activations are like on calibration texts: for even channels, and for fixed scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


class Calibration:
    """What the activations of an fp32 graph are like on some texts.

    Args:
        proto: the graph.
        feeds: its inputs on the texts.
    """

    def __init__(self, proto: onnx.ModelProto, feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._proto, self._feeds = proto, list(feeds)
        self._largest: dict[str, np.ndarray] = {}

    def __bool__(self) -> bool:
        return bool(self._feeds)

    def largest(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the largest magnitude of each channel of activations, f32 [H] by name.

        Each is worked out once, however often it is asked for.
        """
        missing = [name for name in names if name not in self._largest]
        for values in self._values(missing):
            for name, value in zip(missing, values, strict=True):
                peak = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
                self._largest[name] = np.maximum(self._largest.get(name, peak), peak)
        return {name: self._largest[name] for name in names}

    def ranges(self, names: Sequence[str], quantile: float = QUANTILE) -> dict[str, Range]:
        """Return the range of each activation over all texts: the widest of the texts' quantiles.

        Args:
            names: of activations.
            quantile: share of values inside, on either side; 1.0 takes minimum and maximum.
        """
        # Quantiles of each text, not of all: one long text must not hide the others.
        low, high = np.zeros(len(names)), np.zeros(len(names))
        for values in self._values(names):
            bounds = np.array([np.quantile(value, (1 - quantile, quantile)) for value in values])
            low = np.minimum(low, bounds[:, 0])  # [N], as bounds is [N, 2]
            high = np.maximum(high, bounds[:, 1])

        return {
            name: Range(float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)
        }

    def _values(self, names: Sequence[str]) -> Iterator[list[np.ndarray]]:
        """Yield some activations on each text."""
        if not names:
            return
        # The same graph, with the activations as its outputs.
        watched = onnx.ModelProto()
        watched.CopyFrom(self._proto)
        del watched.graph.output[:]
        for name in names:
            value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            watched.graph.output.append(value)
        session = open_graph(watched)
        for feed in self._feeds:
            yield session.run(list(names), dict(feed))


def open_graph(proto: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return an onnxruntime session of a graph in memory."""
    import onnxruntime  # not for those who only import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
