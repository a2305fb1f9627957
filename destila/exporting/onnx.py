"""The fp32 graph of a model, written node by node from the encoder rather than traced.

Why not traced: an exporter stores the shared block of ALBERT behind Identity and Transpose nodes,
so quantisers and fusions do not recognise its products. Here every weight is stored once, already
transposed, and feeds its product directly. What was measured on a CPU with AVX-512, ALBETO tiny and
base-6 in int8, one and two threads (at 32 tokens half the time is not in the products: every node
that two threads share costs them some microseconds):

attention    ONNX's own Attention node: faster on short texts than MultiHeadAttention, whose blocked
             kernel is a little ahead on long ones; only that one takes a mask
LayerNorm    one node: faster on short texts than mean, subtraction, SimplifiedLayerNormalization
             and bias (four for one), the same on long ones; SkipLayerNormalization is slower
GELU         bias and GELU apart: the runtime fuses them in fp32, and int8 has the bias in the
             product
classifiers  the last layer computes queries, output and feed-forward for the first token only:
             nobody reads the rest

Names: product `layer.3.up` in layer 3; its weight is `block.up.weight` when the block is shared,
else `block.3.up.weight`.
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


def build_onnx(model: Model, *, mask: bool, types: bool | None = None) -> onnx.ModelProto:
    """Return the fp32 graph, from int64 [B, L] to logits [B, C] or [B, L, C].

    Args:
        model: of which it is made.
        mask: whether there is an input `mask`, 1 for real tokens; False for texts of equal length,
            which are faster without.
        types: whether there is an input `type_ids`; None: when the encoder tells types apart.
            Without it all types are 0, as in single texts.

    Raises:
        ModelError: types are asked for and the encoder has none.
    """
    config = model.config
    if types and config.types < 2:
        raise ModelError(
            f"the encoder has {config.types} token types: a type_ids input needs at least 2"
        )
    types = config.types > 1 if types is None else types
    per_token = HEADS[model.task].per_token

    # The encoder: embeddings and layers, the last one for the first token where that is enough.
    writer = _Writer(model, mask=mask)
    x = writer.embeddings(types=types)  # [B, L, H]
    for layer in range(config.layers):
        first = not per_token and layer == config.layers - 1
        x = writer.block(x, layer, first=first)  # [B, L, H]; [B, 1, H] where first

    # The head.
    shape: list[str | int] = ["B", len(model.labels)]
    if per_token:
        shape.insert(1, "L")
        output = writer.linear(x, "classifier", "head.classifier")
    else:
        output = writer.classify_head(x)

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
        self.mask = ""
        if mask:
            self.mask = self.graph.add("Cast", ["mask"], "mask.int32", to=TensorProto.INT32)

    def linear(
        self, x: str, name: str, source: str, stored: str | None = None, out: str | None = None
    ) -> str:
        """Add the product with a weight and its bias, and return the name of the sum.

        Args:
            x: the input.
            name: of the product.
            source: the module's name in the model.
            stored: the name of its constants; None: `name`.
            out: the name of the sum; None: made from `name`.
        """
        stored = stored or name
        weight = self.graph.constant(f"{stored}.weight", self.weights[f"{source}.weight"].T)
        bias = self.graph.constant(f"{stored}.bias", self.weights[f"{source}.bias"])

        # Apart, so that int8 can take the bias into the product.
        product = self.graph.add("MatMul", [x, weight], name)
        return self.graph.add("Add", [product, bias], out or f"{name}.sum")

    def norm(self, x: str, name: str, source: str, stored: str | None = None) -> str:
        """Add a LayerNorm over the last axis; the arguments are those of `linear`."""
        stored = stored or name
        gain = self.graph.constant(f"{stored}.weight", self.weights[f"{source}.weight"])
        bias = self.graph.constant(f"{stored}.bias", self.weights[f"{source}.bias"])
        return self.graph.add(
            "LayerNormalization", [x, gain, bias], name, axis=-1, epsilon=self.config.eps
        )

    def embeddings(self, *, types: bool) -> str:
        """Add the hidden states [B, L, H] before the first block."""
        config, graph, at = self.config, self.graph, "encoder.embeddings"
        table = self.weights[f"{at}.position.weight"][config.first_position :]  # [P, E]
        if config.types and not types:
            # Every type is 0, so its row joins the positions: one look-up less.
            table = table + self.weights[f"{at}.token_type.weight"][0]
        graph.constant("indices", np.arange(len(table), dtype=np.int64))
        graph.constant("word.weight", self.weights[f"{at}.word.weight"])
        graph.constant("position.weight", table)

        # The positions of this text's length: 0 to L - 1.
        length = graph.add("Shape", ["input_ids"], "length", start=1, end=2)
        places = graph.add("Slice", ["indices", "zero", length], "places")  # [L]

        # The sum of words, types and positions.
        x = graph.add("Gather", ["word.weight", "input_ids"], "word")  # [B, L, E]
        if types:
            graph.constant("type.weight", self.weights[f"{at}.token_type.weight"])
            kinds = graph.add("Gather", ["type.weight", "type_ids"], "type")
            x = graph.add("Add", [x, kinds], "word.typed")
        positions = graph.add("Gather", ["position.weight", places], "position")
        x = graph.add("Add", [x, positions], "embeddings.sum")

        x = self.norm(x, "embeddings", f"{at}.norm")
        return self.linear(x, "project", "encoder.project") if config.kind == "albert" else x

    def block(self, x: str, layer: int, *, first: bool) -> str:
        """Add one layer and return its hidden states.

        Args:
            x: hidden states [B, L, H].
            layer: its number.
            first: compute those of the first token alone, [B, 1, H].
        """
        config, add = self.config, self.graph.add
        name = f"layer.{layer}"
        source = f"encoder.blocks.{0 if config.shared else layer}"
        stored = "block" if config.shared else f"block.{layer}"

        def linear(x: str, part: str) -> str:
            return self.linear(x, f"{name}.{part}", f"{source}.{part}", f"{stored}.{part}")

        def norm(x: str, part: str) -> str:
            return self.norm(x, f"{name}.{part}", f"{source}.{part}", f"{stored}.{part}")

        # Attention: keys and values of all tokens, queries of those that somebody reads.
        keys, values = linear(x, "key"), linear(x, "value")
        if first:
            x = add("Gather", [x, "zero"], f"{name}.first", axis=1)  # [B, 1, H]
        queries = linear(x, "query")
        context = self._attention(queries, keys, values, f"{name}.attention")
        x = add("Add", [linear(context, "out"), x], f"{name}.attended")
        x = norm(x, "attention_norm")

        # Feed-forward.
        inner = self._activation(linear(x, "up"), f"{name}.inner")
        x = add("Add", [linear(inner, "down"), x], f"{name}.fed")
        return norm(x, "ffn_norm")

    def _attention(self, queries: str, keys: str, values: str, name: str) -> str:
        heads, inputs = self.config.heads, [queries, keys, values]
        if not self.mask:
            return self.graph.add("Attention", inputs, name, q_num_heads=heads, kv_num_heads=heads)

        # Only this one takes a mask.
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
        op = "FastGelu" if self.config.activation == "gelu_new" else "Gelu"  # tanh, or erf
        return self.graph.add(op, [x], name, domain=MICROSOFT)

    def classify_head(self, x: str) -> str:
        """Add the logits [B, C] of the first token's state [B, 1, H]."""
        self.graph.constant("one", np.array([1], np.int64))
        pooled = self.graph.add("Squeeze", [x, "one"], "pooled")  # [B, H]
        dense = self.linear(pooled, "dense", "head.dense")

        activation = "Relu" if self.config.kind == "distilbert" else "Tanh"
        active = self.graph.add(activation, [dense], "dense.active")
        return self.linear(active, "classifier", "head.classifier")
