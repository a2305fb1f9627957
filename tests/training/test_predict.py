"""Prediction gives every example its units back, whatever windows and batches they were read in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.models.architecture import from_shape
from destila.models.heads import build_model
from destila.tasks import classify, tag
from destila.training.predict import TorchPredictor, window_logits
from destila.types import Batch, Example, Output


class Echo(torch.nn.Module):
    """Logits [B, L, 2] of a tagger that repeats the token's id and its place in the window."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch) -> Output:
        place = torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids)
        return Output(torch.stack([batch.input_ids, place], -1).float())


def sentence(n: int) -> Example:
    words = ["El", "niño", "comió", "en", "España", "y", "hacía", "frío"] * n
    ends = np.cumsum([len(w) + 1 for w in words]) - 1
    spans = tuple((int(e) - len(w), int(e)) for w, e in zip(words, ends, strict=True))
    return Example(f"s{n}", " ".join(words), words=spans)


def logits(model, task, features, **options) -> list[np.ndarray]:
    return task.join_windows(features, window_logits(model, features, **options))


EXAMPLES = [sentence(1), sentence(30), Example("empty", ""), sentence(3)]


@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
def test_every_unit_comes_from_the_window_that_owns_it(tokenizer, batch_tokens):
    encoded = tag.TASK.encode(EXAMPLES, tokenizer, ["a", "b"], max_length=32)
    assert encoded.notes["windowed"] == 2
    rows = logits(
        Echo(), tag.TASK, encoded.features, pad_id=tokenizer.pad_id, batch_tokens=batch_tokens
    )
    assert [row.shape for row in rows] == [(8, 2), (240, 2), (0, 2), (24, 2)]
    for example, row in zip(EXAMPLES, rows, strict=True):
        first = [int(p.ids[0]) for p in tokenizer.words(example.text, example.words)]
        assert row[:, 0].tolist() == first
    for f in encoded.features:
        for unit in np.flatnonzero(f.owned):
            assert rows[f.row][f.start + unit, 1] == np.flatnonzero(f.unit == unit)[0]


def model_of(tokenizer, task: str):
    shape = {
        "kind": "bert",
        "layers": 1,
        "hidden": 16,
        "dropout": 0.2,
        "positions": 64,
        "init_range": 0.2,
    }
    return build_model(
        from_shape(shape, vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id),
        task,
        ("a", "b"),
        0,
    )


def test_logits_do_not_depend_on_the_batch(wordpiece, lines):
    """The batch an example is read in does not change its logits."""
    net = model_of(wordpiece, "classify")
    features = classify.TASK.encode(
        [Example(t, t) for t in lines], wordpiece, ["a", "b"], max_length=32
    ).features
    together = logits(net, classify.TASK, features, pad_id=wordpiece.pad_id)
    alone = logits(net, classify.TASK, features, pad_id=wordpiece.pad_id, batch_tokens=1)
    assert np.concatenate(together) == pytest.approx(np.concatenate(alone), abs=1e-5)
    assert np.concatenate(together).std(0).min() > 1e-3


def test_prediction_leaves_the_models_mode_and_gradients_alone(wordpiece):
    net = model_of(wordpiece, "classify").train()
    features = classify.TASK.encode(
        [Example("x", "hola")], wordpiece, ["a", "b"], max_length=32
    ).features
    first, second = (
        logits(net, classify.TASK, features, pad_id=wordpiece.pad_id) for _ in range(2)
    )
    assert np.array_equal(first, second)  # no dropout
    assert net.training
    assert all(p.grad is None for p in net.parameters())


def test_progress_counts_every_window(wordpiece):
    features = tag.TASK.encode(EXAMPLES, wordpiece, ["a", "b"], max_length=32).features
    done: list[int] = []
    logits(
        Echo(), tag.TASK, features, pad_id=wordpiece.pad_id, batch_tokens=64, progress=done.append
    )
    assert sum(done) == len(features)
    assert len(done) > 1


def test_a_predictor_labels_in_order_and_never_looks_at_targets(wordpiece):
    net = model_of(wordpiece, "tag")
    predictor = TorchPredictor(net, wordpiece, tag.TASK, ["a", "b"], max_length=32)
    labelled = [replace(e, target=("nunca",) * len(e.words)) for e in EXAMPLES]
    predictions = list(predictor.predict(labelled, chunk=3))
    assert [len(p.labels) for p in predictions] == [8, 240, 0, 24]
    whole = list(predictor.predict(EXAMPLES))
    assert [p.labels for p in predictions] == [p.labels for p in whole]
    assert predictions[1].probabilities.sum(-1) == pytest.approx(np.ones(240))
