"""A model as OpenVINO IR: bf16 (float weights, computed in bfloat16) and int8 (quantised by NNCF).

The IR is converted from our own module with OpenVINO's reader of traced torch modules, not from our
ONNX graph, whose fused operators belong to onnxruntime. Shared weights are one constant, which
`count_ir_products` and the size of the file show. Needs the extra `openvino`.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning  # where torch.jit takes it from

from destila.errors import ModelError, require
from destila.models.heads import Model

EXTRA = "openvino"

_TRACED = 160
"""Tokens of the traced input: long enough that attention is traced as one fused operator."""

_UNPACKING = ("Convert", "Multiply", "Subtract", "Reshape")
"""Operators that unpack stored weights before a product."""

_MOVING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Gather")
"""Operators that move activations without computing."""


class _Plain(nn.Module):
    """A model as a function of plain tensors, of those inputs that it is to have."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, type_ids: Tensor | None = None) -> Tensor:
        """Return the logits of unpadded ids and token types, i64 [B, L]."""
        return self.model.answer(input_ids, None, type_ids).logits


def build_openvino(model: Model) -> Any:
    """Return the OpenVINO model of a model, for any batch and length, without padding.

    Its inputs are `input_ids`, and `type_ids` where the encoder tells types apart.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    openvino = require("openvino", EXTRA)
    names = ["input_ids", *(["type_ids"] if model.config.types > 1 else [])]
    # Any example will do: batch and length stay open.
    length = min(_TRACED, model.config.max_length)
    example = {name: torch.ones((2, length), dtype=torch.int64) for name in names}  # [B, L]

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)  # the length check holds for every length
        warnings.simplefilter("ignore", DeprecationWarning)
        shapes = [(name, [-1, -1]) for name in names]
        converted = openvino.convert_model(
            _Plain(model.eval()), example_input=example, input=shapes
        )
    # Tracing leaves the output without a name.
    converted.outputs[0].get_tensor().set_names({"logits"})
    return converted


def quantise_ir(converted: Any, calibration: Sequence[dict[str, np.ndarray]]) -> Any:
    """Return the int8 model: all products with weights in int8, activations of fixed scales.

    Args:
        converted: the OpenVINO model.
        calibration: inputs of the model, from training text.

    Raises:
        ModelError: there is no calibration.
        MissingExtraError: NNCF is not installed.
    """
    if not calibration:
        raise ModelError("int8 for OpenVINO needs texts to calibrate on: give --texts or --recipe")

    # MIXED: symmetric weights, asymmetric activations.
    nncf = require("nncf", EXTRA)
    with _quiet():
        return nncf.quantize(
            converted,
            nncf.Dataset(list(calibration)),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
        )


def save_ir(converted: Any, path: Path, *, half: bool) -> None:
    """Write `path` (.xml) and a `.bin` beside it; half: float weights in 16 bits."""
    require("openvino", EXTRA).save_model(converted, str(path), compress_to_fp16=half)


def count_ir_products(path: Path) -> tuple[int, int]:
    """Return (int8 products, products) of weights with activations, read from the saved file.

    A product is int8 when its weights are stored in 8 bits and its activations pass through a
    quantiser.

    Raises:
        ModelError: the file is not OpenVINO's.
    """
    core = require("openvino", EXTRA).Core()
    try:
        saved = core.read_model(str(path))
    except RuntimeError as error:
        raise ModelError(f"{path} is not an OpenVINO model: export it again") from error

    # Products of two activations, inside attention, have no weights and stay out.
    products = [op for op in saved.get_ops() if op.get_type_name() == "MatMul"]
    weighted = [op for op in products if _weights(op) is not None]
    return sum(_is_int8(op) for op in weighted), len(weighted)


def _inputs(op: Any) -> list[Any]:
    return [op.input_value(i).get_node() for i in range(op.get_input_size())]


def _weights(op: Any) -> Any | None:
    """Return the constant that a product multiplies with, behind what unpacks it.

    None when both sides are computed.
    """
    node = _inputs(op)[1]
    while node.get_type_name() in _UNPACKING:
        node = _inputs(node)[0]
    return node if node.get_type_name() == "Constant" else None


def _is_int8(op: Any) -> bool:
    node, weights = _inputs(op)[0], _weights(op)
    while node.get_type_name() in _MOVING:
        node = _inputs(node)[0]

    in_bytes = weights is not None and weights.get_element_type().bitwidth == 8
    return bool(in_bytes and node.get_type_name() == "FakeQuantize")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence NNCF, which draws bars on standard output and logs; the library does not print."""
    log = logging.getLogger("nncf")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stdout(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
