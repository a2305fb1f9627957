from __future__ import annotations

import onnx
import pytest

from destila.export import onnx as exporter
from destila.export.int8 import quantise
from destila.export.stable import stable_alone, stable_in_batches


@pytest.fixture
def ids(texts):
    return [feeds["input_ids"][0] for feeds in texts] * 3


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_a_text_alone_gets_the_same_bits_on_any_threads(task, small, ids):
    plain = exporter.build(small(task=task), mask=False, types=False)
    assert stable_alone(plain, ids)
    assert stable_alone(quantise(plain, kind="dynamic"), ids)


def test_dynamic_scales_depend_on_the_neighbours(small, ids):
    plain = exporter.build(small(), mask=True)
    assert not stable_in_batches(quantise(plain, kind="dynamic"), ids, pad_id=1)


def tokens(*nodes):
    """A graph of the named nodes from input_ids, as floats `x`, to one value per token, `y`."""
    make = onnx.helper
    inside = [
        make.make_node("Cast", ["input_ids"], ["x"], to=onnx.TensorProto.FLOAT),
        *nodes,
        make.make_node("Unsqueeze", ["y", "last"], ["logits"]),
    ]
    graph = make.make_graph(
        inside,
        "tokens",
        [make.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["B", "L"])],
        [make.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["B", "L", 1])],
        [make.make_tensor("last", onnx.TensorProto.INT64, [1], [-1])],
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)


def test_noise_is_found(ids):
    noise = [onnx.helper.make_node("RandomNormalLike", ["x"], ["n"]), onnx.helper.make_node("Add", ["x", "n"], ["y"])]
    assert not stable_alone(tokens(*noise), ids)
    assert not stable_in_batches(tokens(*noise), ids, pad_id=1)


def test_neighbours_that_matter_are_found_and_tokens_on_their_own_are_stable(ids):
    largest = [onnx.helper.make_node("ReduceMax", ["x"], ["m"]), onnx.helper.make_node("Add", ["x", "m"], ["y"])]
    assert stable_alone(tokens(*largest), ids)
    assert not stable_in_batches(tokens(*largest), ids, pad_id=1)
    assert stable_in_batches(tokens(onnx.helper.make_node("Neg", ["x"], ["y"])), ids, pad_id=1)
