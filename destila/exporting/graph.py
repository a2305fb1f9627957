"""A small writer of ONNX graphs: nodes and constants are added in order, each constant once.

The ops of the domain `com.microsoft` are those of onnxruntime (its ContribOperators.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 23
MICROSOFT = "com.microsoft"
IR_VERSION = 11


class Graph:
    """A graph under construction. Values are named by strings; names are made unique by their caller's prefix."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """The name of a stored constant; a name that is already there is kept, so shared weights are stored once."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def add(
        self, op: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any
    ) -> str:
        """Adds a node of one output, whose name is also the node's; returns it. An absent optional input is ''."""
        self.nodes.append(
            helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def model(
        self, inputs: dict[str, list[str]], output: str, shape: list[str | int]
    ) -> onnx.ModelProto:
        """The whole model: int64 inputs with the named axes, one float32 output."""
        graph = helper.make_graph(
            self.nodes,
            "destila",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, axes)
                for name, axes in inputs.items()
            ],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            list(self.initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="destila"
        )
