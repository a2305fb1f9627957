"""Opening graphs: what goes in, what comes out, and files that cannot be read."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from destila.errors import ModelError
from destila.inference.exported import choose_graph, is_exported
from destila.inference.session import open_session


def graph(path, *, inputs=("input_ids",), opset=17, ir=8, op="Sum", domain="", axes=("B", "L")):
    """A graph whose only output is its first input as float: [B, L, 1] unless told otherwise."""
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["float"], to=TensorProto.FLOAT),
        helper.make_node(op, ["float"], ["logits"], domain=domain),
    ]
    shape = list(axes) if len(axes) != 3 else ["B", "L", 1]
    takes = [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in inputs]
    gives = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)]
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_model(
        helper.make_graph(nodes, "g", takes, gives), opset_imports=opsets, ir_version=ir
    )
    onnx.save(made, str(path))
    return path


def ids(*values):
    return np.array([values], np.int64)


def test_a_graph_gets_the_inputs_it_asks_for_and_no_others(tmp_path):
    session = open_session(graph(tmp_path / "model.onnx", inputs=("input_ids", "mask")))
    assert (session.inputs, session.backend) == (("input_ids", "mask"), "onnxruntime")
    found = session({"input_ids": ids(1, 2), "mask": ids(1, 1), "type_ids": ids(0, 0)})
    assert found.tolist() == [[1.0, 2.0]]
    with pytest.raises(ModelError, match="needs the input mask"):
        session({"input_ids": ids(1, 2)})


@pytest.mark.parametrize("content", [b"", b"hola " * 100])
def test_a_damaged_graph_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(
        ModelError, match=r"model\.onnx is damaged or incomplete .*copy it or export again"
    ):
        open_session(tmp_path / "model.onnx")


def test_a_graph_cut_short_is_refused(tmp_path, exported):
    whole = (exported("classify") / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or incomplete"):
        open_session(tmp_path / "model.onnx")


@pytest.mark.parametrize("version", [{"opset": 99}, {"ir": 99}])
def test_a_graph_of_a_later_onnx_is_refused(tmp_path, version):
    with pytest.raises(
        ModelError, match=r"a version of ONNX that onnxruntime [\d.]+ does not read"
    ):
        open_session(graph(tmp_path / "model.onnx", **version))


def test_an_unknown_operator_is_named(tmp_path):
    with pytest.raises(
        ModelError, match=r"an operator that onnxruntime [\d.]+ does not know \(.*Rizar"
    ):
        open_session(graph(tmp_path / "model.onnx", op="Rizar", domain="otro"))


@pytest.mark.parametrize(
    "shape", [{"inputs": ("pixels",)}, {"axes": ("B",)}, {"inputs": ("input_ids", "extra")}]
)
def test_a_graph_of_something_else_is_refused(tmp_path, shape):
    with pytest.raises(ModelError, match="is no graph of 'destila export'"):
        open_session(graph(tmp_path / "model.onnx", **shape))


def test_ids_that_the_model_does_not_have_are_refused(exported):
    session = open_session(exported("classify", default="fp32") / "model.onnx")
    with pytest.raises(
        ModelError,
        match=r"cannot read these ids \(up to 99999, 3 tokens\): is the tokenizer its own",
    ):
        session({name: ids(1, 99999, 2) for name in ("input_ids", "type_ids")})


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no graph at .*nada\.onnx"):
        open_session(tmp_path / "nada.onnx")


def test_the_graph_asked_for_then_the_winner_then_the_default(tmp_path):
    """The winner is run before the default, and both after the one that was asked for."""
    listed = [
        {"name": n, "file": f"model.{n}.{e}", "kind": n}
        for n, e in (("a", "onnx"), ("b", "onnx"), ("c", "xml"))
    ]
    facts = {"default": "a", "candidates": listed}

    def chosen(runtime=None, candidate=None):
        (tmp_path / "export.json").write_text(
            json.dumps(facts | ({"runtime": runtime} if runtime else {}))
        )
        return choose_graph(tmp_path, candidate)

    assert chosen().name == "a"
    assert (
        chosen({"name": "b", "threads": 2}).file,
        chosen({"name": "b", "threads": 2}).threads,
    ) == (
        tmp_path / "model.b.onnx",
        2,
    )
    assert chosen({"name": "b"}, "a").name == "a"
    with pytest.raises(ModelError, match=r"no graph called 'd'.*Known: a, b, c"):
        chosen(candidate="d")


def test_a_winner_without_its_library_gives_way(tmp_path, monkeypatch):
    """The default is run where the winner's library is not installed."""
    listed = [
        {"name": "a", "file": "model.onnx", "kind": "fp32"},
        {"name": "b", "file": "model.b.xml", "kind": "bf16"},
    ]
    facts = {"default": "a", "candidates": listed, "runtime": {"name": "b"}}
    (tmp_path / "export.json").write_text(json.dumps(facts))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_graph(tmp_path).name == "a"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"default": "a"}', '{"default": "a", "candidates": []}']
)
def test_a_damaged_description_is_refused(tmp_path, content):
    (tmp_path / "export.json").write_text(content)
    assert is_exported(tmp_path)
    with pytest.raises(ModelError, match=r"export again|make it again"):
        choose_graph(tmp_path)


def test_a_lone_graph_is_enough(tmp_path):
    assert not is_exported(tmp_path)
    graph(tmp_path / "model.onnx")
    assert is_exported(tmp_path)
    assert choose_graph(tmp_path).file == tmp_path / "model.onnx"


def test_openvino_reads_a_graph_too(tmp_path):
    openvino = pytest.importorskip("openvino")
    file = graph(tmp_path / "model.onnx", inputs=("input_ids", "mask"))
    openvino.save_model(openvino.convert_model(str(file)), str(tmp_path / "model.xml"))
    session = open_session(tmp_path / "model.xml", threads=1)
    assert session.backend == "openvino"
    assert session({"input_ids": ids(1, 2), "mask": ids(1, 1)}).tolist() == [[1.0, 2.0]]
    (tmp_path / "model.xml").write_text("hola")
    with pytest.raises(ModelError, match=r"model\.xml is damaged"):
        open_session(tmp_path / "model.xml")
