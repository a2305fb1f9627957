"""An exported model answers like the trained one, and like itself in any company."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

import destila
from destila.errors import ModelError, TokenizerError
from destila.inference.labeller import Labeller
from destila.inference.predictor import RuntimePredictor
from destila.types import Example

TASKS = ("classify", "pair", "tag", "span")


def close(one, other) -> bool:
    """Equal objects, but for numbers that differ by less than 1e-4."""
    if isinstance(one, float):
        return abs(one - other) < 1e-4
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("task", TASKS)
def test_the_fp32_graph_says_what_torch_says(exported, asked, task):
    folder = exported(task, default="fp32")
    exact = Labeller(folder)
    one = [answer.to_dict() for answer in exact.answers(asked(task))]
    other = [answer.to_dict() for answer in Labeller(folder.parent / "torch").answers(asked(task))]
    assert isinstance(exact.predictor, RuntimePredictor)
    assert all(close(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_every_kind_of_encoder_runs(exported, asked, kind):
    folder = exported("pair", default="fp32", kind=kind)
    one, other = (
        [answer.to_dict() for answer in Labeller(f).answers(asked("pair"))]
        for f in (folder, folder.parent / "torch")
    )
    assert all(close(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_has_the_same_bits_in_any_company(exported, asked, task):
    """Alone, in any batch, in any order, on any number of threads."""
    folder = exported(task)
    rows = [{"text": item} if isinstance(item, str) else item for item in asked(task)]
    reads = Labeller(folder).predictor.task
    texts = [reads.read_row(row, i) for i, row in enumerate(rows)]
    one, two = RuntimePredictor(folder, threads=1), RuntimePredictor(folder, threads=2)
    want = [next(one.predict([text])).probabilities for text in texts]
    shuffled = random.Random(0).sample(range(len(texts)), len(texts))
    for predictor in (one, two):
        assert all(
            np.array_equal(next(predictor.predict([t])).probabilities, w)
            for t, w in zip(texts, want, strict=True)
        )
        for order in (range(len(texts)), shuffled):
            for chunk in (1024, 7):
                found = predictor.predict([texts[i] for i in order], chunk=chunk)
                assert all(
                    np.array_equal(p.probabilities, want[i])
                    for p, i in zip(found, order, strict=True)
                )


def test_targets_are_not_looked_at(exported):
    (found,) = RuntimePredictor(exported("classify")).predict(
        [Example("a", "hola", target="no such label")]
    )
    assert found.labels[0] in ("no", "sí")


def test_no_texts_have_no_predictions(exported):
    assert list(RuntimePredictor(exported("tag")).predict([])) == []


def test_threads_are_those_that_were_fastest_at_export(exported, monkeypatch):
    """But no more than this process may keep busy, or the user says for all libraries."""
    folder = exported("classify")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    facts = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(
        json.dumps(facts | {"runtime": {"name": "fp32", "threads": 3}})
    )
    for there, used in ((2, 2), (8, 3)):
        monkeypatch.setattr("destila.cpu.available", lambda there=there: there)
        assert (RuntimePredictor(folder).threads, RuntimePredictor(folder).choice.name) == (
            used,
            "fp32",
        )
    assert RuntimePredictor(folder, threads=1).threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert RuntimePredictor(folder).threads == 2


def test_a_folder_without_its_tokenizer_is_refused(exported):
    folder = exported("classify")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TokenizerError, match="tokenizer"):
        destila.load(folder)


def test_a_folder_without_its_graph_is_refused(exported):
    folder = exported("classify")
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"no graph at .*model\.onnx: 'destila export' writes it"):
        destila.load(folder)


@pytest.mark.parametrize(
    ("here", "there"), [("classify", "tag"), ("tag", "classify"), ("classify", "span")]
)
def test_a_graph_of_another_task_is_refused(exported, here, there):
    graph = (exported(there) / "model.onnx").read_bytes()
    folder = exported(here)
    (folder / "model.onnx").write_bytes(graph)
    with pytest.raises(ModelError, match=f"exported for another task: .*config.json says '{here}'"):
        destila.load(folder)


def test_a_graph_of_other_labels_is_refused(exported):
    folder = exported("classify")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "a", "1": "b", "2": "c"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"gives 2 values for the text, config.json says 'classify' with 3 labels"
    ):
        destila.load(folder)


def test_the_tokenizer_of_another_model_is_refused(exported, wordpiece, bytelevel):
    folder = exported("classify")
    bytelevel.save(folder)
    with pytest.raises(ModelError, match="use the tokenizer it was exported with"):
        destila.load(folder)
