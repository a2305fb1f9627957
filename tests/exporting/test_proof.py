from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from destila.errors import ModelError
from destila.exporting import int8, proof
from destila.exporting import onnx as graphs
from destila.exporting.calibration import open_graph
from destila.inference.session import Session, open_session


def saved(model, path: Path) -> Path:
    onnx.save(graphs.build_onnx(model, mask=False), str(path))
    return path


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", ["albert", "bert", "distilbert", "roberta"])
def test_an_exact_graph_is_told_from_one_of_other_weights(small, tmp_path, kind, task):
    model, other = small(kind, task), small(kind, task, init_range=0.16)
    windows = proof.random_windows(model, 9)
    session = open_session(saved(model, tmp_path / "model.onnx"))
    assert proof.same_answers(session, model, windows) < proof.PARITY
    assert proof.logit_difference(session, other, windows) > 1e-3
    with pytest.raises(ModelError, match="does not answer as torch does"):
        proof.same_answers(session, other, windows)


def test_windows_have_every_length_and_every_type(small):
    model = small("albert")
    windows = proof.random_windows(model)
    lengths = [len(ids) for ids, _ in windows]
    assert (min(lengths), max(lengths)) == (1, model.config.max_length)
    assert {int(t) for _, types in windows for t in types} == {0, 1}


def test_an_answer_that_is_not_a_number_is_refused(small, tmp_path):
    model = small("albert", "classify")
    nan = Session(tmp_path, "none", ("input_ids",), (None, 3), lambda _: np.full((1, 3), np.nan))
    with pytest.raises(ModelError, match="differ by nan"):
        proof.same_answers(nan, model, proof.random_windows(model, 3))


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_texts_of_their_own_have_the_same_bits_in_int8(small, tmp_path, task):
    model = small("albert", task)
    file = tmp_path / "int8.onnx"
    onnx.save(int8.quantise(graphs.build_onnx(model, mask=False), kind="dynamic"), str(file))
    assert proof.stable(file, proof.random_windows(model) * 2, kind="int8-dynamic")


def test_padded_among_others_they_would_not(small, texts):
    """Why each window is a call of its own: dynamic scales are those of the whole call."""
    session = open_graph(
        int8.quantise(graphs.build_onnx(small("albert"), mask=True, types=False), kind="dynamic")
    )
    ids = [feeds["input_ids"] for feeds in texts]
    longest = max(row.shape[1] for row in ids)
    batch = np.concatenate(
        [np.pad(row, ((0, 0), (0, longest - row.shape[1])), constant_values=1) for row in ids]
    )
    mask = np.stack([np.arange(longest) < row.shape[1] for row in ids]).astype(np.int64)
    together = session.run(None, {"input_ids": batch, "mask": mask})[0]
    alone = [session.run(None, {"input_ids": row, "mask": np.ones_like(row)})[0][0] for row in ids]
    assert any(
        not np.array_equal(row[: len(own)], own) for row, own in zip(together, alone, strict=True)
    )


def test_answers_that_depend_on_the_threads_are_unstable(small, tmp_path, monkeypatch):
    model = small("albert", "classify")
    file, windows = saved(model, tmp_path / "model.onnx"), proof.random_windows(model, 6)
    assert proof.stable(file, windows, kind="fp32")

    def opened(path, *, threads, callers, kind):
        exact = open_session(path)
        noise = np.float32(1e-7 if threads == 2 and callers == 2 else 0)
        return lambda feeds: exact(feeds) + noise

    monkeypatch.setattr(proof, "open_session", opened)
    assert not proof.stable(file, windows, kind="fp32")


def test_answers_that_depend_on_the_past_are_unstable(small, tmp_path, monkeypatch):
    """An answer must not depend on what was asked before."""
    calls = itertools.count()
    monkeypatch.setattr(
        proof, "open_session", lambda *_, **__: lambda feeds: np.array([float(next(calls))])
    )
    assert not proof.stable(tmp_path, proof.random_windows(small(), 3), kind="")


def test_products_and_bytes_are_checked(tmp_path):
    """Both are compared with what the architecture should have."""
    proof.all_products(tmp_path, (13, 17), (14, 17), kept=1)
    with pytest.raises(ModelError, match="13 int8 products of 17, the architecture 14 of 17"):
        proof.all_products(tmp_path, (13, 17), (14, 17), kept=0)
    proof.right_size(tmp_path, 10_900_000, 10_000_000)
    for size in (11_100_000, 8_900_000):
        with pytest.raises(ModelError, match="stored twice or are missing"):
            proof.right_size(tmp_path, size, 10_000_000)
