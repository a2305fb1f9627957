"""What each task family calls a unit, and which logits meet which labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.tasks import classify, tag
from destila.training.batches import collate
from destila.types import IGNORE, Example, Features, Output, Prediction

SUBTOKENS = tag.Tag(every_piece=True)


def window(units: list[int], owned: list[bool], target: list[int]) -> Features:
    """Specials around tokens of the given local units."""
    unit = np.array([-1, *units, -1], np.int32)
    nothing = np.zeros(len(unit), np.int32)
    spans = np.zeros((len(unit), 2), np.int32)
    return Features(
        0, 0, nothing + 5, nothing, spans, unit, 0, np.array(owned), np.array(target, np.int32)
    )


@pytest.fixture
def tags():
    """Words of 2, 1 and 3 pieces; the last is another window's. A second, shorter window."""
    return collate(
        [window([0, 0, 1, 2, 2, 2], [True, True, False], [4, 2, IGNORE]), window([0], [True], [1])],
        0,
    )


def numbered(b: int, length: int, classes: int) -> torch.Tensor:
    return torch.arange(b * length * classes, dtype=torch.float32).reshape(b, length, classes)


def test_a_tagged_word_is_read_at_its_first_sub_token(tags):
    logits = numbered(2, 8, 5)
    signal = tag.TASK.signal(Output(logits), tags)
    assert torch.equal(signal.logits[0, :2], logits[0, [1, 3]])
    assert torch.equal(signal.logits[1, 0], logits[1, 1])
    assert signal.mask.tolist() == [[True, True, False], [True, False, False]]


def test_first_labelling_meets_one_label_per_owned_word(tags):
    logits = numbered(2, 8, 5)
    assert tag.TASK.targets(tags).tolist() == [[4, 2, IGNORE], [1, IGNORE, IGNORE]]
    assert torch.equal(
        tag.TASK.supervised(Output(logits), tags).logits,
        tag.TASK.signal(Output(logits), tags).logits,
    )


def test_all_labelling_meets_the_words_label_on_each_of_its_sub_tokens(tags):
    logits = numbered(2, 8, 5)
    assert SUBTOKENS.targets(tags).tolist() == [
        [IGNORE, 4, 4, 2, IGNORE, IGNORE, IGNORE, IGNORE],
        [IGNORE, 1, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE],
    ]
    assert SUBTOKENS.supervised(Output(logits), tags).logits is logits


def test_both_labellings_predict_from_first_sub_tokens(tags):
    output = Output(numbered(2, 8, 5))
    assert torch.equal(SUBTOKENS.signal(output, tags).logits, tag.TASK.signal(output, tags).logits)


def test_a_classified_example_is_its_only_unit():
    f = replace(window([], [True], [1]), unit=np.array([0, -1], np.int32))
    batch = collate([f, f], 0)
    output = Output(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    signal = classify.TASK.signal(output, batch)
    assert signal.logits.tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert signal.mask.tolist() == [[True], [True]]
    assert classify.TASK.targets(batch).tolist() == [[1], [1]]
    assert torch.equal(classify.TASK.supervised(output, batch).logits, signal.logits)


def test_a_classifier_is_scored_with_its_calibration():
    examples = [Example("0", "x", target="a"), Example("1", "y", target="b")]
    said = [Prediction(("a",), np.array([[0.9, 0.1]])), Prediction(("a",), np.array([[0.6, 0.4]]))]
    scores = classify.TASK.score(examples, said, ("a", "b"))
    assert set(scores) == {"accuracy", "macro_f1", "mcc", "ece"}
    assert scores["accuracy"] == 0.5


def test_a_tagger_is_scored_by_entities_when_its_labels_are_bio():
    examples = [Example("0", "a b", words=((0, 1), (2, 3)), target=("B-X", "I-X"))]
    said = [Prediction(("B-X", "O"), np.zeros((2, 3)))]
    scores = tag.TASK.score(examples, said, ("O", "B-X", "I-X"))
    assert scores["entity_f1"] == 0.0
    assert scores["accuracy"] == 0.5
    assert "pos_accuracy" in tag.TASK.score(
        [replace(examples[0], target=("N", "V"))],
        [Prediction(("N", "V"), np.zeros((2, 2)))],
        ("N", "V"),
    )


def test_a_tagger_is_scored_with_the_calibration_of_its_words():
    examples = [Example("0", "a b", words=((0, 1), (2, 3)), target=("N", "V")), Example("1", "")]
    said = [
        Prediction(("N", "N"), np.array([[0.9, 0.1], [0.6, 0.4]])),
        Prediction((), np.zeros((0, 2))),
    ]
    assert tag.TASK.score(examples, said, ("N", "V"))["ece"] == pytest.approx((0.1 + 0.6) / 2)


@pytest.mark.parametrize("task", [classify.TASK, tag.TASK, SUBTOKENS])
def test_every_task_decodes_one_label_per_row(task):
    (prediction,) = task.decode([Example("0", "a")], [np.array([[0.0, 2.0]])], ("a", "b"))
    assert prediction.labels == ("b",)
    assert (task.name, task.axis) in {("classify", 2), ("tag", 2)}
