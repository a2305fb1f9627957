"""The fp32 graph of a model, written node by node from the encoder rather than traced.

Why not traced: an exporter stores the shared block of ALBERT behind Identity and Transpose nodes, so quantisers and
fusions do not recognise its products. Here every weight is stored once, already transposed, and feeds its product
directly. What was measured on a CPU with AVX-512, ALBETO tiny and base-6 in int8, one and two threads (at 32 tokens half
the time is not in the products: every node that two threads share costs them some microseconds):

attention    ONNX's own Attention node: faster on short texts than MultiHeadAttention, whose blocked kernel is a little
             ahead on long ones; only that one takes a mask
LayerNorm    one node: faster on short texts than mean, subtraction, SimplifiedLayerNormalization and bias (four for one),
             the same on long ones; SkipLayerNormalization is slower
GELU         bias and GELU apart: the runtime fuses them in fp32, and int8 has the bias in the product
classifiers  the last layer computes queries, output and feed-forward for the first token only: nobody reads the rest

Names: product `layer.3.up` in pass 3; its weight is `block.up.weight` when the block is shared, else
`block.3.up.weight`.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from destila.errors import ModelError
from destila.exporting.graph import MICROSOFT, Graph
from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig
from destila.models.heads import Model

_MASKED = -3e38  # as the encoder's: exact zeros after softmax, and no NaN in a row of pads


def build(model: Model, *, mask: bool, types: bool | None = None) -> onnx.ModelProto:
    """The fp32 graph: input_ids [B, L] and, when asked for, mask and type_ids, to logits [B, C] or [B, L, C].

    All inputs are int64. mask: 1 for real tokens; False leaves the input out, for texts of equal length, which are
    faster without. types: whether there is a `type_ids` input; None: when the encoder tells types apart. Without it
    all types are 0, as in single texts. Raises ModelError for a head that is not classify or one label per token.
    """
    config = model.config
    if types and config.types < 2:
        raise ModelError(
            f"the encoder has {config.types} token types: a type_ids input needs at least 2"
        )
    types = config.types > 1 if types is None else types
    writer = _Writer(model, mask=mask)
    x = writer.embeddings(types=types)
    per_token = HEADS[model.task].per_token
    for layer in range(config.layers):
        first = not per_token and layer == config.layers - 1
        x = writer.block(x, layer, first=first)
    shape: list[str | int] = (
        ["B", "L", len(model.labels)] if per_token else ["B", len(model.labels)]
    )
    output = (
        writer.linear(x, "classifier", "head.classifier") if per_token else writer.classify_head(x)
    )
    names = ["input_ids", *(["mask"] if mask else []), *(["type_ids"] if types else [])]
    return writer.graph.model({name: ["B", "L"] for name in names}, output, shape)


class _Writer:
    """A graph being written from one model's weights."""

    def __init__(self, model: Model, *, mask: bool) -> None:
        self.config: EncoderConfig = model.config
        self.weights = {
            name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()
        }
        self.graph = Graph()
        self.graph.constant("zero", np.array([0], np.int64))
        self.mask = (
            self.graph.add("Cast", ["mask"], "mask.int32", to=TensorProto.INT32) if mask else ""
        )

    def linear(
        self, x: str, name: str, source: str, stored: str | None = None, out: str | None = None
    ) -> str:
        """The product with a weight and its bias; source: the module's name, stored: the name of its constants."""
        stored = stored or name
        weight = self.graph.constant(f"{stored}.weight", self.weights[f"{source}.weight"].T)
        bias = self.graph.constant(f"{stored}.bias", self.weights[f"{source}.bias"])
        product = self.graph.add("MatMul", [x, weight], name)
        return self.graph.add("Add", [product, bias], out or f"{name}.sum")

    def norm(self, x: str, name: str, source: str, stored: str | None = None) -> str:
        """LayerNorm over the last axis."""
        stored = stored or name
        gain = self.graph.constant(f"{stored}.weight", self.weights[f"{source}.weight"])
        bias = self.graph.constant(f"{stored}.bias", self.weights[f"{source}.bias"])
        return self.graph.add(
            "LayerNormalization", [x, gain, bias], name, axis=-1, epsilon=self.config.eps
        )

    def embeddings(self, *, types: bool) -> str:
        """Hidden states [B, L, H] before the first block."""
        config, graph, at = self.config, self.graph, "encoder.embeddings"
        table = self.weights[f"{at}.position.weight"][config.first_position :]
        if config.types and not types:
            table = (
                table + self.weights[f"{at}.token_type.weight"][0]
            )  # every type is 0: one table less
        graph.constant("indices", np.arange(len(table), dtype=np.int64))
        graph.constant("word.weight", self.weights[f"{at}.word.weight"])
        graph.constant("position.weight", table)
        length = graph.add("Shape", ["input_ids"], "length", start=1, end=2)
        places = graph.add("Slice", ["indices", "zero", length], "places")
        x = graph.add("Gather", ["word.weight", "input_ids"], "word")
        if types:
            graph.constant("type.weight", self.weights[f"{at}.token_type.weight"])
            x = graph.add(
                "Add", [x, graph.add("Gather", ["type.weight", "type_ids"], "type")], "word.typed"
            )
        x = graph.add(
            "Add",
            [x, graph.add("Gather", ["position.weight", places], "position")],
            "embeddings.sum",
        )
        x = self.norm(x, "embeddings", f"{at}.norm")
        return self.linear(x, "project", "encoder.project") if config.kind == "albert" else x

    def block(self, x: str, layer: int, *, first: bool) -> str:
        """The next hidden states; first: of the first token only, [B, 1, H]."""
        config, add = self.config, self.graph.add
        name = f"layer.{layer}"
        source = f"encoder.blocks.{0 if config.shared else layer}"
        stored = "block" if config.shared else f"block.{layer}"

        def linear(x: str, part: str) -> str:
            return self.linear(x, f"{name}.{part}", f"{source}.{part}", f"{stored}.{part}")

        keys, values = linear(x, "key"), linear(x, "value")
        if first:
            x = add("Gather", [x, "zero"], f"{name}.first", axis=1)
        queries = linear(x, "query")
        context = self._attention(queries, keys, values, f"{name}.attention")
        x = add("Add", [linear(context, "out"), x], f"{name}.attended")
        x = self.norm(
            x, f"{name}.attention_norm", f"{source}.attention_norm", f"{stored}.attention_norm"
        )
        inner = self._activation(linear(x, "up"), f"{name}.inner")
        x = add("Add", [linear(inner, "down"), x], f"{name}.fed")
        return self.norm(x, f"{name}.ffn_norm", f"{source}.ffn_norm", f"{stored}.ffn_norm")

    def _attention(self, queries: str, keys: str, values: str, name: str) -> str:
        heads, inputs = self.config.heads, [queries, keys, values]
        if not self.mask:
            return self.graph.add("Attention", inputs, name, q_num_heads=heads, kv_num_heads=heads)
        return self.graph.add(
            "MultiHeadAttention",
            [*inputs, "", self.mask],
            name,
            domain=MICROSOFT,
            num_heads=heads,
            mask_filter_value=_MASKED,
        )

    def _activation(self, x: str, name: str) -> str:
        if self.config.activation == "relu":
            return self.graph.add("Relu", [x], name)
        op = (
            "FastGelu" if self.config.activation == "gelu_new" else "Gelu"
        )  # tanh approximation, or erf
        return self.graph.add(op, [x], name, domain=MICROSOFT)

    def classify_head(self, x: str) -> str:
        """Logits [B, C] of the first token's state [B, 1, H]."""
        self.graph.constant("one", np.array([1], np.int64))
        first = self.graph.add("Squeeze", [x, "one"], "pooled")
        dense = self.linear(first, "dense", "head.dense")
        active = self.graph.add(
            "Relu" if self.config.kind == "distilbert" else "Tanh", [dense], "dense.active"
        )
        return self.linear(active, "classifier", "head.classifier")
