from __future__ import annotations

import numpy as np
import pytest

from destila import errors
from destila.errors import MissingExtraError, ModelError
from destila.exporting import openvino as ir
from destila.exporting import proof
from destila.inference.session import feeds, open_session


@pytest.fixture
def installed():
    for package in ("openvino", "nncf"):
        pytest.importorskip(package, reason="the extra 'openvino' is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "task"), [("albert", "classify"), ("bert", "tag"), ("roberta", "tag")]
)
def test_the_float_file_answers_as_torch_at_every_length(installed, small, tmp_path, kind, task):
    model = small(kind, task)
    file = tmp_path / "model.xml"
    ir.save_ir(ir.build_openvino(model), file, half=False)
    assert (
        proof.same_answers(open_session(file), model, proof.random_windows(model, 9)) < proof.PARITY
    )
    assert ir.count_ir_products(file)[0] == 0


@pytest.mark.slow
def test_products_are_int8_and_shared_weights_stored_once(installed, small, tmp_path):
    """Every product of the IR is int8, and a shared weight is one constant."""
    sizes, draw = {}, np.random.default_rng(0)
    for layers in (2, 4):
        model = small("albert", "tag", layers=layers)
        found = ir.build_openvino(model)
        windows = [(draw.integers(2, 90, n), np.zeros(n, int)) for n in range(4, 12)]
        texts = [
            {name: value for name, value in feeds(*w).items() if name != "mask"} for w in windows
        ]
        file = tmp_path / f"model.{layers}.xml"
        ir.save_ir(ir.quantise_ir(found, texts), file, half=False)
        assert ir.count_ir_products(file) == (6 * layers + 2, 6 * layers + 2)
        assert proof.logit_difference(open_session(file, kind="int8"), model, windows) < 0.2
        sizes[layers] = file.with_suffix(".bin").stat().st_size
    assert sizes[4] < 1.2 * sizes[2]


def test_int8_without_texts_is_refused():
    with pytest.raises(ModelError, match="needs texts to calibrate on"):
        ir.quantise_ir(None, [])


def test_a_damaged_file_is_refused(installed, tmp_path):
    (tmp_path / "model.xml").write_text("<net")
    with pytest.raises(ModelError, match="not an OpenVINO model"):
        ir.count_ir_products(tmp_path / "model.xml")


def test_without_openvino_the_extra_is_named(small, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(errors.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"destila\[openvino\]"):
        ir.build_openvino(small())
