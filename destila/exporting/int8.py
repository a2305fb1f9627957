"""8-bit forms of the fp32 graph: weights of products per column, embeddings per row, activations per text or fixed.

Every product of activations with a weight becomes MatMulIntegerToFloat: unsigned activations times signed weights,
the pair that AVX-512 VNNI multiplies at full speed (unsigned times unsigned took twice as long, and no range needs
to be reduced, since VNNI adds into 32 bits). What several products share, as queries, keys and values do, is
quantised once. The two products of activations inside attention stay fp32: in 8 bits they gain only at 512 tokens
with heads of 64, and the probabilities of a long text fall below the step of 1/255.

dynamic   the scale of an activation is that of its own text: a text must be a call of its own
static    scales fixed by calibration texts: a row's result does not depend on other rows

Symmetric weights and asymmetric activations as in Jacob et al. 2018 (arXiv 1712.05877), eq. 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from destila.errors import ModelError
from destila.exporting.calibration import Range, ranges
from destila.exporting.graph import MICROSOFT

QuantKind = Literal["dynamic", "static"]
TABLES = ("word.weight", "position.weight")
"""The constants that are looked up by row; token types stay fp32, they are a few rows."""

ROW_BLOCK = 128
"""Values of a table's row that share a scale."""


def quantise(
    proto: onnx.ModelProto,
    *,
    kind: QuantKind,
    keep: frozenset[str] = frozenset(),
    calibration: Sequence[Mapping[str, np.ndarray]] | None = None,
) -> onnx.ModelProto:
    """An int8 copy of a graph made by `onnx.build`.

    keep: products that stay fp32, of `products(proto)`; "embeddings" keeps the tables. calibration: the feeds of the
    texts that static scales come from. Raises ModelError for an unknown name in keep, or no calibration for static.
    """
    unknown = keep - {*products(proto), "embeddings"}
    if unknown:
        raise ModelError(
            f"no products named {', '.join(sorted(unknown))}: known are {', '.join(products(proto))}"
        )
    if kind == "static" and not calibration:
        raise ModelError("static int8 takes its scales from calibration texts: give at least one")
    wanted = [
        node
        for node in proto.graph.node
        if _is_product(node, _constants(proto)) and node.name not in keep
    ]
    limits = (
        ranges(proto, sorted({node.input[0] for node in wanted}), calibration or [])
        if kind == "static"
        else None
    )
    writer = _Writer(
        _constants(proto), {node.name for node in wanted}, limits, tables="embeddings" not in keep
    )
    nodes = list(proto.graph.node)
    skipped = set()
    for position, node in enumerate(nodes):
        if position in skipped:
            continue
        if node.name in writer.wanted:
            bias = _bias(nodes, position, writer.constants)
            skipped.add(bias)
            writer.product(node, nodes[bias])
        elif node.op_type == "Gather" and node.input[0] in TABLES and writer.tables:
            writer.look_up(node)
        else:
            writer.nodes.append(node)
    return _with(proto, writer)


def products(proto: onnx.ModelProto) -> list[str]:
    """The names of the products with a weight, in the order of the graph."""
    constants = _constants(proto)
    return [node.name for node in proto.graph.node if _is_product(node, constants)]


@dataclass(slots=True)
class _Writer:
    """The nodes and constants of the graph under construction."""

    constants: dict[str, onnx.TensorProto]
    wanted: set[str]
    limits: dict[str, Range] | None
    tables: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    made: dict[str, onnx.TensorProto] = field(default_factory=dict)
    quantised: set[str] = field(default_factory=set)

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.made:
            self.made[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def activation(self, name: str) -> list[str]:
        """The names of an activation's 8-bit values, scale and zero point; made at its first use."""
        values, scale, zero = f"{name}.u8", f"{name}.scale", f"{name}.zero"
        if name not in self.quantised:
            self.quantised.add(name)
            if self.limits is None:
                node = helper.make_node(
                    "DynamicQuantizeLinear", [name], [values, scale, zero], name=values
                )
            else:
                step, offset = self.limits[name].step()
                self.constant(scale, np.array(step, np.float32))
                self.constant(zero, np.array(offset, np.uint8))
                node = helper.make_node(
                    "QuantizeLinear", [name, scale, zero], [values], name=values
                )
            self.nodes.append(node)
        return [values, scale, zero]

    def product(self, node: onnx.NodeProto, add: onnx.NodeProto) -> None:
        """Replaces a product and the addition of its bias."""
        x, weight = node.input
        values, scale, zero = self.activation(x)
        if f"{weight}.s8" not in self.made:
            matrix = numpy_helper.to_array(self.constants[weight])  # [in, out]
            steps = _steps(np.abs(matrix).max(axis=0))
            self.constant(f"{weight}.s8", np.rint(matrix / steps).astype(np.int8))
            self.constant(f"{weight}.steps", steps)
        inputs = [values, f"{weight}.s8", scale, f"{weight}.steps", zero, "", add.input[1]]
        made = helper.make_node(
            "MatMulIntegerToFloat", inputs, list(add.output), name=node.name, domain=MICROSOFT
        )
        self.nodes.append(made)

    def look_up(self, node: onnx.NodeProto) -> None:
        """Replaces a look-up of rows by one in an 8-bit table."""
        table = node.input[0]
        matrix = numpy_helper.to_array(self.constants[table])  # [V, E]
        blocks = -(-matrix.shape[1] // ROW_BLOCK)
        padded = np.pad(matrix, ((0, 0), (0, blocks * ROW_BLOCK - matrix.shape[1])))
        padded = padded.reshape(len(matrix), blocks, ROW_BLOCK)
        steps = _steps(np.abs(padded).max(axis=-1))  # [V, blocks]
        values = (np.rint(padded / steps[..., None]) + 128).astype(np.uint8)
        self.constant(f"{table}.u8", values.reshape(len(matrix), -1)[:, : matrix.shape[1]])
        self.constant(f"{table}.steps", steps)
        made = helper.make_node(
            "GatherBlockQuantized",
            [f"{table}.u8", node.input[1], f"{table}.steps"],
            list(node.output),
            name=node.name,
            domain=MICROSOFT,
            bits=8,
            block_size=ROW_BLOCK,
            quantize_axis=1,
            gather_axis=0,
        )
        self.nodes.append(made)


def _steps(largest: np.ndarray) -> np.ndarray:
    """The step of symmetric 8-bit values for each largest magnitude; 1 where all values are 0."""
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def _constants(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def _is_product(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in constants


def _bias(
    nodes: Sequence[onnx.NodeProto], position: int, constants: Mapping[str, onnx.TensorProto]
) -> int:
    """The position of the node that adds a product's bias: the builder writes it behind the product."""
    product, follower = nodes[position], nodes[position + 1]
    if (
        follower.op_type != "Add"
        or follower.input[0] != product.output[0]
        or follower.input[1] not in constants
    ):
        raise ModelError(
            f"product {product.name} is not followed by its bias: quantise a graph of destila's exporter"
        )
    return position + 1


def _with(proto: onnx.ModelProto, writer: _Writer) -> onnx.ModelProto:
    """The model with the writer's nodes and the constants that they use."""
    used = {name for node in writer.nodes for name in node.input}
    constants = [
        tensor for name, tensor in {**writer.constants, **writer.made}.items() if name in used
    ]
    graph = helper.make_graph(
        writer.nodes, proto.graph.name, proto.graph.input, proto.graph.output, constants
    )
    return helper.make_model(
        graph,
        opset_imports=proto.opset_import,
        ir_version=proto.ir_version,
        producer_name=proto.producer_name,
    )
