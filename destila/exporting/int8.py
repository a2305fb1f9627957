"""8-bit forms of the fp32 graph: products' weights per column, embeddings per row, activations.

Every product of activations with a weight becomes MatMulIntegerToFloat: unsigned activations times
signed weights, the pair that AVX-512 VNNI multiplies at full speed (unsigned times unsigned took
twice as long, and no range needs to be reduced, since VNNI adds into 32 bits). What several
products share, as queries, keys and values do, is quantised once. The two products of activations
inside attention stay fp32: in 8 bits they gain only at 512 tokens with heads of 64, and the
probabilities of a long text fall below the step of 1/255.

dynamic   the scale of an activation is that of its own text: a text must be a call of its own
static    scales fixed by calibration texts: a row's result does not depend on other rows
weights   stored in 8 bits, computed in fp32, so activations are never rounded to 8 bits. There the
          last bit of a processor's fp32 can move a value by a whole step: in WebAssembly a trained
          tagger's probabilities moved by up to 0.10 so, and not at all in this form

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
from destila.exporting.calibration import Calibration, Range
from destila.exporting.graph import MICROSOFT
from destila.exporting.smoothing import UNEVEN, smoothing_of

QuantKind = Literal["dynamic", "static", "weights"]

TABLES = ("word.weight", "position.weight")
"""The constants that are looked up by row; token types stay fp32, they are a few rows."""

ROW_BLOCK = 128
"""Values of a table's row that share a scale."""


def quantise(
    proto: onnx.ModelProto,
    *,
    kind: QuantKind,
    keep: frozenset[str] = frozenset(),
    calibration: Calibration | None = None,
    uneven: float = UNEVEN,
) -> onnx.ModelProto:
    """Return an int8 copy of a graph made by `onnx.build_onnx`.

    Args:
        proto: the fp32 graph.
        kind: how activations are scaled.
        keep: products that stay fp32, of `products(proto)`; "embeddings" keeps the tables.
        calibration: on texts: fixes static scales, and evens out channels for dynamic ones (see
            `smoothing.py`); None: dynamic scales of the activations as they are.
        uneven: which activations are evened out, see `smoothing.UNEVEN`.

    Raises:
        ModelError: a name in `keep` is not known, or there is no calibration for static.
    """
    unknown = keep - {*products(proto), "embeddings"}
    if unknown:
        names, known = ", ".join(sorted(unknown)), ", ".join(products(proto))
        raise ModelError(f"no products named {names}: known are {known}")
    if kind == "static" and not calibration:
        raise ModelError("static int8 takes its scales from calibration texts: give at least one")

    # What becomes int8, and the ranges of the activations that go in.
    constants = _constants(proto)
    chosen = [n for n in proto.graph.node if _is_product(n, constants) and n.name not in keep]
    names_chosen = frozenset(node.name for node in chosen)
    limits, smoothing = None, dict[str, np.ndarray]()
    if calibration and kind == "dynamic":
        smoothing = smoothing_of(proto, names_chosen, calibration, uneven=uneven)
    if calibration and kind == "static":
        limits = calibration.ranges(sorted({node.input[0] for node in chosen}))
    writer = _Writer(constants, names_chosen, limits, smoothing, tables="embeddings" not in keep)

    # The graph once more: a product swallows the addition of its bias behind it.
    nodes = list(proto.graph.node)
    skipped = set()
    for position, node in enumerate(nodes):
        if position in skipped:
            continue
        if node.name in writer.chosen and kind == "weights":
            writer.unpacked(node)
        elif node.name in writer.chosen:
            bias = _bias(nodes, position, writer.constants)
            skipped.add(bias)
            writer.product(node, nodes[bias])
        elif node.op_type == "Gather" and node.input[0] in TABLES and writer.tables:
            writer.look_up(node)
        else:
            writer.nodes.append(node)
    return _with(proto, writer)


def products(proto: onnx.ModelProto) -> list[str]:
    """Return the names of the products with a weight, in the order of the graph."""
    constants = _constants(proto)
    return [node.name for node in proto.graph.node if _is_product(node, constants)]


@dataclass(slots=True)
class _Writer:
    """The nodes and constants of the graph under construction.

    Args:
        constants: of the fp32 graph.
        chosen: names of the products that become int8.
        limits: fixed ranges of activations; None: scaled per text.
        smoothing: what the channels of activations are divided by.
        tables: whether embeddings become int8.
        nodes: written so far.
        added: constants written so far.
        quantised: activations that have their 8-bit values already.
    """

    constants: dict[str, onnx.TensorProto]
    chosen: frozenset[str]
    limits: dict[str, Range] | None
    smoothing: dict[str, np.ndarray]
    tables: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: dict[str, onnx.TensorProto] = field(default_factory=dict)
    quantised: set[str] = field(default_factory=set)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a constant under a name, unless it is there, and return the name."""
        if name not in self.added:
            self.added[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def activation(self, name: str) -> list[str]:
        """Return the names of an activation's 8-bit values, scale and zero point.

        They are made at its first use.
        """
        values, scale, zero = f"{name}.u8", f"{name}.scale", f"{name}.zero"
        if name in self.quantised:
            return [values, scale, zero]

        self.quantised.add(name)
        source = name
        if name in self.smoothing:
            source = f"{name}.smooth"
            inverse = self.constant(f"{name}.inverse", 1 / self.smoothing[name])
            self.nodes.append(helper.make_node("Mul", [name, inverse], [source], name=source))

        # Per text by a node that looks at it, or fixed by two constants.
        if self.limits is None:
            outputs = [values, scale, zero]
            node = helper.make_node("DynamicQuantizeLinear", [source], outputs, name=values)
        else:
            step, offset = self.limits[name].step()
            self.constant(scale, np.array(step, np.float32))
            self.constant(zero, np.array(offset, np.uint8))
            node = helper.make_node("QuantizeLinear", [name, scale, zero], [values], name=values)
        self.nodes.append(node)
        return [values, scale, zero]

    def weight(self, name: str, factor: np.ndarray | None = None) -> bool:
        """Store a weight in 8 bits, unless it is there; return whether it was not.

        Each column has a step of its own.

        Args:
            name: of the weight.
            factor: what its rows are multiplied by, [in]; None: nothing.
        """
        if f"{name}.s8" in self.added:
            return False
        matrix = numpy_helper.to_array(self.constants[name])  # [in, out]
        if factor is not None:
            matrix = matrix * factor[:, None]
        steps = _steps(np.abs(matrix).max(axis=0))  # [out]
        self.constant(f"{name}.s8", np.rint(matrix / steps).astype(np.int8))
        self.constant(f"{name}.steps", steps)
        return True

    def unpacked(self, node: onnx.NodeProto) -> None:
        """Give a product its weight in fp32 again, made of the stored one.

        By nodes that a library works out once, when it opens the graph. (It would run a
        DequantizeLinear anew in every call.)
        """
        x, weight = node.input
        plain, unpacked = f"{weight}.plain", f"{weight}.fp32"
        if self.weight(weight):
            self.nodes += [
                helper.make_node("Cast", [f"{weight}.s8"], [plain], to=onnx.TensorProto.FLOAT),
                helper.make_node("Mul", [plain, f"{weight}.steps"], [unpacked]),
            ]
        self.nodes.append(
            helper.make_node(node.op_type, [x, unpacked], list(node.output), name=node.name)
        )

    def product(self, node: onnx.NodeProto, add: onnx.NodeProto) -> None:
        """Replace a product and the addition of its bias."""
        x, weight = node.input
        values, scale, zero = self.activation(x)
        self.weight(weight, self.smoothing.get(x))
        inputs = [values, f"{weight}.s8", scale, f"{weight}.steps", zero, "", add.input[1]]
        self.nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat",
                inputs,
                list(add.output),
                name=node.name,
                domain=MICROSOFT,
            )
        )

    def look_up(self, node: onnx.NodeProto) -> None:
        """Replace a look-up of rows by one in an 8-bit table."""
        table = node.input[0]
        matrix = numpy_helper.to_array(self.constants[table])  # [V, E]
        rows, width = matrix.shape

        # A step for every ROW_BLOCK values of a row.
        blocks = -(-width // ROW_BLOCK)
        padded = np.pad(matrix, ((0, 0), (0, blocks * ROW_BLOCK - width)))
        padded = padded.reshape(rows, blocks, ROW_BLOCK)
        steps = _steps(np.abs(padded).max(axis=-1))  # [V, blocks]
        values = (np.rint(padded / steps[..., None]) + 128).astype(np.uint8)
        self.constant(f"{table}.u8", values.reshape(rows, -1)[:, :width])  # [V, E]
        self.constant(f"{table}.steps", steps)

        self.nodes.append(
            helper.make_node(
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
        )


def _steps(largest: np.ndarray) -> np.ndarray:
    """Return the step of symmetric 8-bit values for each largest magnitude; 1 where all are 0."""
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def _constants(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def _is_product(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in constants


def _bias(
    nodes: Sequence[onnx.NodeProto], position: int, constants: Mapping[str, onnx.TensorProto]
) -> int:
    """Return the position of the node that adds a product's bias: right behind the product."""
    product, follower = nodes[position], nodes[position + 1]
    adds = follower.op_type == "Add" and follower.input[0] == product.output[0]
    if not adds or follower.input[1] not in constants:
        raise ModelError(
            f"product {product.name} is not followed by its bias: quantise a graph of destila's "
            "exporter"
        )
    return position + 1


def _with(proto: onnx.ModelProto, writer: _Writer) -> onnx.ModelProto:
    """Return the model with the writer's nodes and the constants that they use."""
    # The fp32 weights that became int8 are left behind.
    used = {name for node in writer.nodes for name in node.input}
    every = writer.constants | writer.added
    constants = [tensor for name, tensor in every.items() if name in used]

    old = proto.graph
    graph = helper.make_graph(writer.nodes, old.name, old.input, old.output, constants)
    return helper.make_model(
        graph,
        opset_imports=proto.opset_import,
        ir_version=proto.ir_version,
        producer_name=proto.producer_name,
    )
