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
    """A graph under construction.

    Values are named by strings; their caller's prefix makes the names unique.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a constant and return its name; one that is there already is shared."""
        if name not in self.initializers:
            # ONNX stores rows one behind the other; a transposed view is copied.
            contiguous = np.asarray(value, order="C")
            self.initializers[name] = numpy_helper.from_array(contiguous, name)
        return name

    def add(
        self, op: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node of one output and return the output's name, which is also the node's.

        Args:
            op: type of the node.
            inputs: names of its inputs; an optional one that is absent is ''.
            output: name of its output.
            domain: "" for ONNX's own operators.
            attributes: of the node.
        """
        node = helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def model(
        self, inputs: dict[str, list[str]], output: str, shape: list[str | int]
    ) -> onnx.ModelProto:
        """Return the whole model.

        Args:
            inputs: names of int64 inputs, with the names of their axes.
            output: name of the one float32 output.
            shape: of the output.
        """
        takes = [
            helper.make_tensor_value_info(name, TensorProto.INT64, axes)
            for name, axes in inputs.items()
        ]
        gives = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(
            self.nodes, "destila", takes, gives, list(self.initializers.values())
        )

        # Our operators are ONNX's own and onnxruntime's.
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="destila"
        )
