"""Channels that are much larger than the others cost next to nothing in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.exporting import onnx as exporter
from destila.exporting.calibration import Calibration, open_graph
from destila.exporting.int8 import products, quantise
from destila.exporting.smoothing import smoothing_of


def _uneven(model):
    """The same answers, with three channels of every context a hundred times as large."""
    with torch.no_grad():
        for block in model.encoder.blocks:
            for channel in (3, 17, 40):
                block.value.weight[channel] *= 100
                block.value.bias[channel] *= 100
                block.out.weight[:, channel] /= 100
    return exporter.build_onnx(model, mask=False, types=False)


def _error(proto, wanted, texts):
    session = open_graph(proto)
    found = [session.run(None, feeds)[0] for feeds in texts]
    return max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_large_channels_do_not_cost_the_others(kind, small, texts):
    plain = _uneven(small(kind))
    wanted = [open_graph(plain).run(None, feeds)[0] for feeds in texts]
    rough = _error(quantise(plain, kind="dynamic"), wanted, texts)
    even = _error(
        quantise(plain, kind="dynamic", calibration=Calibration(plain, texts)), wanted, texts
    )
    assert even < rough / 3


def test_what_shares_a_weight_shares_its_factors(small, texts):
    plain = exporter.build_onnx(small("albert", layers=3), mask=False, types=False)
    factors = smoothing_of(plain, frozenset(products(plain)), Calibration(plain, texts), uneven=0)
    inputs = {node.name: node.input[0] for node in plain.graph.node}
    for part in ("query", "out", "up", "down"):
        first, *others = (factors[inputs[f"layer.{layer}.{part}"]] for layer in range(3))
        assert all(np.array_equal(first, other) for other in others)
    assert inputs["layer.0.query"] == inputs["layer.0.value"]


def test_factors_are_those_of_the_paper(small, texts):
    """s = max|x|^a / max|W|^(1-a), up to one number for all channels, which scales cancel."""
    plain = exporter.build_onnx(small("bert", layers=1), mask=False, types=False)
    calibration = Calibration(plain, texts)
    node = next(node for node in plain.graph.node if node.name == "layer.0.up")
    found = smoothing_of(plain, frozenset({node.name}), calibration, alpha=0.6, uneven=0)[
        node.input[0]
    ]
    x = calibration.largest([node.input[0]])[node.input[0]]
    weights = {tensor.name: tensor for tensor in plain.graph.initializer}
    w = np.abs(np.frombuffer(weights[node.input[1]].raw_data, np.float32).reshape(len(x), -1)).max(
        1
    )
    ratio = found / (x**0.6 / w**0.4)
    assert np.allclose(ratio, ratio[0], rtol=1e-4)


def test_a_channel_that_is_always_zero_stays(small, texts):
    model = small("bert", layers=1)
    with torch.no_grad():
        model.encoder.blocks[0].attention_norm.weight[5] = 0
        model.encoder.blocks[0].attention_norm.bias[5] = 0
    plain = exporter.build_onnx(model, mask=False, types=False)
    factors = smoothing_of(plain, frozenset(products(plain)), Calibration(plain, texts), uneven=0)
    assert factors
    assert all(np.isfinite(each).all() and (each > 0).all() for each in factors.values())


def test_even_activations_stay_as_they_are(small, texts):
    plain = exporter.build_onnx(small("bert", init_range=0.05), mask=False, types=False)
    assert smoothing_of(plain, frozenset(products(plain)), Calibration(plain, texts)) == {}
    uneven = _uneven(small("bert"))
    contexts = {n.input[0] for n in uneven.graph.node if n.name.endswith(".out")}
    found = smoothing_of(uneven, frozenset(products(uneven)), Calibration(uneven, texts))
    assert set(found) == contexts
