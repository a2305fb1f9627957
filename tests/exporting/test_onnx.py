from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.errors import ModelError
from destila.exporting import onnx as exporter
from destila.exporting.calibration import open_graph

KINDS = ("bert", "roberta", "albert", "distilbert")


def run(proto, feeds):
    known = {value.name for value in proto.graph.input}
    return open_graph(proto).run(
        None, {name: value for name, value in feeds.items() if name in known}
    )[0]


def furthest(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches_agree_with_torch(kind, task, small, answers, ragged):
    model = small(kind, task)
    types = model.config.types > 1
    feeds = (
        ragged if types else {name: value for name, value in ragged.items() if name != "type_ids"}
    )
    found, wanted = run(exporter.build_onnx(model, mask=True), feeds), answers(model, feeds)
    real = ragged["mask"].astype(bool) if task == "tag" else slice(None)
    assert furthest(found[real], wanted[real]) < 1e-5


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("task", ["classify", "tag"])
def test_single_texts_agree_with_torch_without_a_mask(task, activation, small, answers, texts):
    """Single texts need no mask, whatever the activation function is."""
    model = small("albert", task, activation=activation)
    proto = exporter.build_onnx(model, mask=False, types=False)
    assert [value.name for value in proto.graph.input] == ["input_ids"]
    for feeds in texts:
        assert furthest(run(proto, feeds), answers(model, feeds)) < 1e-5


@pytest.mark.parametrize("length", [1, 33, 511])
def test_with_a_mask_and_without_one_the_answers_are_the_same(length, small):
    model = small("albert", "classify", layers=3)
    feeds = {"input_ids": np.random.default_rng(length).integers(2, 90, (1, length))}
    alone = run(exporter.build_onnx(model, mask=False, types=False), feeds)
    masked = run(
        exporter.build_onnx(model, mask=True, types=False),
        {**feeds, "mask": np.ones_like(feeds["input_ids"])},
    )
    assert furthest(alone, masked) < 1e-5


def test_erf_and_tanh_gelu_are_told_apart(small, texts):
    erf, tanh = (small("bert", activation=name) for name in ("gelu", "gelu_new"))
    one, other = (
        run(exporter.build_onnx(model, mask=False, types=False), texts[0]) for model in (erf, tanh)
    )
    assert furthest(one, other) > 1e-5


def test_a_row_of_pads_only_is_not_nan(small, ragged):
    feeds = {**ragged, "mask": ragged["mask"] * np.array([[1], [0], [1], [1]])}
    assert np.isfinite(run(exporter.build_onnx(small(), mask=True), feeds)).all()


def test_one_layer_and_roberta_positions(small, answers, texts):
    model = small("roberta", "classify", layers=1)
    for feeds in texts:
        assert (
            furthest(run(exporter.build_onnx(model, mask=False), feeds), answers(model, feeds))
            < 1e-5
        )


def test_a_shared_block_is_stored_once(small):
    """Its weights feed the products of every layer directly."""
    size = {
        layers: exporter.build_onnx(small(layers=layers), mask=False).ByteSize()
        for layers in (1, 5)
    }
    block = sum(value.numel() for name, value in small().named_parameters() if ".blocks." in name)
    assert size[5] - size[1] < 4 * block  # four more layers cost less than one more block
    proto = exporter.build_onnx(small(layers=3), mask=True)
    stored = {tensor.name for tensor in proto.graph.initializer}
    weights = [node.input[1] for node in proto.graph.node if node.op_type == "MatMul"]
    assert set(weights) <= stored
    assert max(weights.count(name) for name in weights) == 3
    assert not {"Identity", "Transpose"} & {node.op_type for node in proto.graph.node}


def test_any_batch_and_length(small, answers):
    model = small("bert", "classify")
    proto = exporter.build_onnx(model, mask=False, types=False)
    for shape in ((1, 1), (3, 2), (2, model.config.max_length)):
        feeds = {"input_ids": torch.randint(2, 90, shape).numpy()}
        assert furthest(run(proto, feeds), answers(model, feeds)) < 1e-5


def test_types_are_an_input_only_of_encoders_that_have_them(small):
    assert "type_ids" in {
        value.name for value in exporter.build_onnx(small("bert"), mask=True).graph.input
    }
    assert "type_ids" not in {
        value.name for value in exporter.build_onnx(small("roberta"), mask=True).graph.input
    }
    with pytest.raises(ModelError, match="token types"):
        exporter.build_onnx(small("roberta"), mask=True, types=True)
