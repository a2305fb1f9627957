"""Proof by the saved graph: its int8 matrix products, all of them, and its size.

Nothing here asks the quantiser what it did. `count_products` knows other tools' int8 nodes too, so
it reads their files as well.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from destila.exporting.graph import MICROSOFT
from destila.exporting.int8 import ROW_BLOCK
from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig

INT8 = {
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "QGemm",
    "QLinearMatMul",
}
FLOAT = {"FusedGemm", "FusedMatMul", "Gemm", "MatMul"}
ATTENTION = {
    ("", "Attention"): (0, 2),
    (MICROSOFT, "MultiHeadAttention"): (0, 2),
    (MICROSOFT, "Attention"): (0, 3),
    (MICROSOFT, "QAttention"): (1, 3),
}
"""Fused nodes by domain and type: (int8 products, products).

Those with 3 hold the weights of queries, keys and values.
"""

_LAYER_BYTES = 7_500  # of a layer's nodes and names in the file
_FILE_BYTES = 6_000  # of the other nodes


def count_products(source: onnx.ModelProto | Path | str) -> tuple[int, int]:
    """Return (int8 products, products) of a graph, subgraphs included; a node counts once."""
    proto = source if isinstance(source, onnx.ModelProto) else onnx.load(str(source))
    return _count(proto.graph)


def expected(config: EncoderConfig, task: str) -> tuple[int, int]:
    """Return (products with a weight, products) that the architecture has.

    It is what `count_products` gives of a fully quantised graph. The difference are the two
    products of activations in each layer's attention.

    Args:
        config: the encoder.
        task: kind of its head.
    """
    # Queries, keys, values, output, up and down; the classifier, with a dense layer where it reads
    # one token alone; ALBERT's projection of its embeddings.
    head = 1 if HEADS[task].per_token else 2
    weighted = 6 * config.layers + head + (config.kind == "albert")
    return weighted, weighted + 2 * config.layers


def bytes_formula(config: EncoderConfig, task: str, kind: str, labels: int) -> int:
    """Return the size that a graph's file should have, from the architecture.

    fp32: 4 bytes a value. int8: 1 byte a weight of a product or table, 4 bytes for the step of each
    column and of each 128 values of a table's row, 4 bytes for biases and LayerNorm.

    Args:
        config: the encoder.
        task: kind of its head.
        kind: "fp32" or an int8 kind.
        labels: of its head.
    """
    e, h, i = config.embedding, config.hidden, config.ffn
    rows = config.vocab_size + config.max_length  # of the tables of words and positions, [rows, e]
    blocks = 1 if config.shared else config.layers

    # The matrices of products: [in, out] each.
    shapes = [(h, h)] * 4 * blocks + [(h, i), (i, h)] * blocks + [(h, labels)]
    if config.kind == "albert":
        shapes.append((e, h))
    if not HEADS[task].per_token:
        shapes.append((h, h))
    weights, columns = sum(a * b for a, b in shapes), sum(b for _, b in shapes)

    # What stays fp32: biases, LayerNorms, token types; and what the file holds besides.
    plain = columns + 2 * e + 4 * h * blocks + (config.types * e if config.types > 1 else 0)
    around = 8 * config.max_length + _LAYER_BYTES * config.layers + _FILE_BYTES
    if kind == "fp32":
        return 4 * (rows * e + weights + plain) + around
    return rows * e + weights + 4 * (rows * -(-e // ROW_BLOCK) + columns + plain) + around


def _count(graph: onnx.GraphProto) -> tuple[int, int]:
    int8 = total = 0
    for node in graph.node:
        # A fused attention node stands for several products.
        own = (int(node.op_type in INT8), int(node.op_type in INT8 | FLOAT))
        more = ATTENTION.get((node.domain, node.op_type), own)
        int8, total = int8 + more[0], total + more[1]

        # Loops and branches hold graphs of their own.
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                inner = _count(attribute.g)
                int8, total = int8 + inner[0], total + inner[1]
    return int8, total
