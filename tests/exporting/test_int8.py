from __future__ import annotations

import numpy as np
import onnx
import pytest

from destila.errors import ModelError
from destila.exporting import onnx as exporter
from destila.exporting.calibration import Calibration, Range, open_graph
from destila.exporting.count import bytes_formula, count_products, expected
from destila.exporting.int8 import products, quantise
from destila.models import heads
from destila.models.presets import PRESETS


def run(proto, feeds):
    return open_graph(proto).run(None, feeds)[0]


def furthest(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.fixture
def plain(small):
    return exporter.build_onnx(small("bert", init_range=0.05), mask=False, types=False)


def test_stored_weights_are_a_quarter_and_computed_in_fp32(plain, texts):
    """Answers move by the weights' rounding alone, and no node rounds an activation."""
    stored = quantise(plain, kind="weights")
    assert {n.op_type for n in stored.graph.node} & {
        "DynamicQuantizeLinear",
        "QuantizeLinear",
    } == set()
    for feeds in texts:
        assert furthest(run(stored, feeds), run(plain, feeds)) < 0.05

    # As large as the form that computes in int8, but for the names of a few nodes.
    dynamic = quantise(plain, kind="dynamic")
    assert (
        abs(stored.ByteSize() - dynamic.ByteSize()) < 4_000 < plain.ByteSize() - stored.ByteSize()
    )


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_answers_stay_close(kind, plain, texts):
    small_one = quantise(plain, kind=kind, calibration=Calibration(plain, texts))
    for feeds in texts:
        assert furthest(run(small_one, feeds), run(plain, feeds)) < 0.1


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "albert", "distilbert"])
def test_every_product_with_a_weight_is_int8(kind, task, small):
    model = small(kind, task, layers=3)
    plain = exporter.build_onnx(model, mask=True)
    weighted, total = expected(model.config, task)
    assert count_products(plain) == (0, total)
    assert count_products(quantise(plain, kind="dynamic")) == (weighted, total)


def test_albert_base_has_98_products():
    weighted, total = expected(PRESETS["albeto-base"], "tag")
    assert (weighted, total) == (74, 98)


def test_the_count_is_read_from_the_file_and_includes_subgraphs(tmp_path):
    product = onnx.helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    inner = onnx.helper.make_graph([product], "inner", [], [])
    branch = onnx.helper.make_node("If", ["yes"], ["c"], then_branch=inner, else_branch=inner)
    plain = onnx.helper.make_node("Gemm", ["a", "b"], ["d"])
    path = tmp_path / "graph.onnx"
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([branch, plain], "outer", [], [])), path
    )
    assert count_products(path) == (2, 3)


@pytest.mark.parametrize(("domain", "products"), [("", 2), ("com.microsoft", 3)])
def test_attention_counts_weights_only_where_it_holds_them(domain, products):
    node = onnx.helper.make_node("Attention", ["a", "b", "c"], ["d"], domain=domain)
    assert count_products(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))) == (
        0,
        products,
    )


def test_what_is_kept_stays_fp32(plain, texts):
    everything = frozenset(products(plain))
    assert count_products(quantise(plain, kind="dynamic", keep=everything))[0] == 0
    same = quantise(plain, kind="dynamic", keep=everything | {"embeddings"})
    assert np.array_equal(run(same, texts[0]), run(plain, texts[0]))
    one = quantise(plain, kind="dynamic", keep=frozenset({"layer.1.down"}))
    kept = [node.op_type for node in one.graph.node if node.name == "layer.1.down"]
    assert kept == ["MatMul"]
    with pytest.raises(ModelError, match=r"layer\.9\.up"):
        quantise(plain, kind="dynamic", keep=frozenset({"layer.9.up"}))


def test_a_shared_weight_is_stored_once_in_int8(small):
    proto = quantise(exporter.build_onnx(small(layers=4), mask=False), kind="dynamic")
    stored = [tensor.name for tensor in proto.graph.initializer]
    assert len(stored) == len(set(stored))
    assert stored.count("block.up.weight.s8") == 1
    assert "block.up.weight" not in stored


def test_queries_keys_and_values_share_one_quantisation(plain):
    nodes = quantise(plain, kind="dynamic").graph.node
    inputs = {
        node.input[0]
        for node in nodes
        if node.name in {f"layer.0.{part}" for part in ("query", "key", "value")}
    }
    assert len(inputs) == 1


def test_weights_are_within_half_a_step(small):
    model = small("bert")
    proto = quantise(exporter.build_onnx(model, mask=False), kind="dynamic")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    weight = model.encoder.blocks[1].up.weight.detach().numpy().T
    steps = stored["block.1.up.weight.steps"]
    assert (np.abs(stored["block.1.up.weight.s8"] * steps - weight) <= steps / 2 * 1.0001).all()
    table = model.encoder.embeddings.word.weight.detach().numpy()
    rows = stored["word.weight.steps"]
    assert rows.shape == (len(table), 1)
    assert (
        np.abs((stored["word.weight.u8"].astype(float) - 128) * rows - table) <= rows / 2 * 1.0001
    ).all()


def test_static_needs_calibration(plain):
    with pytest.raises(ModelError, match="calibration"):
        quantise(plain, kind="static")


def test_static_scales_do_not_depend_on_the_text(plain, texts):
    """With static scales the answers of a token do not depend on the scales of its text."""
    nodes = {
        node.op_type
        for node in quantise(plain, kind="static", calibration=Calibration(plain, texts)).graph.node
    }
    assert "DynamicQuantizeLinear" not in nodes


def test_ranges_cover_all_calibration_texts_and_zero(plain, texts):
    name = "embeddings"
    found = Calibration(plain, texts).ranges([name], 1.0)[name]
    each = [Calibration(plain, [feeds]).ranges([name], 1.0)[name] for feeds in texts]
    assert found == Range(min(r.low for r in each), max(r.high for r in each))
    assert found.low < 0 < found.high
    inside = Calibration(plain, texts).ranges([name], 0.9)[name]
    assert found.low < inside.low < inside.high < found.high
    assert Range(0.0, 0.0).step() == (1.0, 0)
    assert Range(-1.0, 1.55).step() == (pytest.approx(0.01), 100)


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("preset", ["albeto-tiny", "albeto-base-4"])
def test_files_have_the_size_of_the_formula_and_meet_the_limits(preset, task):
    model = heads.build_model(PRESETS[preset], task, ("a", "b", "c"), seed=0)
    plain = exporter.build_onnx(model, mask=False)
    int8 = quantise(plain, kind="dynamic")
    for name, proto in (("fp32", plain), ("int8-dynamic", int8)):
        assert proto.ByteSize() == pytest.approx(
            bytes_formula(model.config, task, name, 3), rel=0.02
        )
    assert int8.ByteSize() <= {"albeto-tiny": 6e6, "albeto-base-4": 12.5e6}[preset]
