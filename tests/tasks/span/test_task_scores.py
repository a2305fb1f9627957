"""The task of questions: logits per unit, loss, scores, and the tables of a report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from destila.errors import ConfigError, DataError
from destila.tasks import task_of
from destila.tasks.span.join_units import window_units
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.task import SpanTask
from destila.tokenizer.tokenizer import parse_tokenizer
from destila.types import ABSENT, Answer, Example

CONTEXT = "El equipo ganó 6-2 y su entrenador, José García, celebró la victoria en España \u200b el año pasado."


def example(answer="José García", name="q"):
    start = CONTEXT.index(answer)
    return Example(
        name, "¿Quién celebró?", CONTEXT, answers=((start, start + len(answer)),) if answer else ()
    )


def said(*texts):
    return [Answer((text,), np.array([[1.0, 0.0]], np.float32)) for text in texts]


def windows(task, examples, tokenizer, seed=0, max_length=64):
    features = task.encode(examples, tokenizer, (), max_length=max_length).features
    random = np.random.default_rng(seed)
    return features, [
        random.normal(0, 2, (len(f.input_ids) + 3, 2)).astype(np.float32) for f in features
    ]


def softmax(values):
    return np.exp(values - values.max(0)) / np.exp(values - values.max(0)).sum(0)


def test_a_unit_has_the_probability_of_its_tokens(tokenizer):
    task = SpanTask(SpanOptions(window=8))
    features, values = windows(task, [example()], tokenizer)
    for f, value in zip(features, values, strict=True):
        kept = np.flatnonzero(f.unit >= 0)
        tokens = softmax(value[kept].astype(np.float64))
        expected = [tokens[f.unit[kept] == u].sum(0) for u in range(len(f.owned))]
        assert softmax(window_units(f, value[: len(f.unit)]).astype(np.float64)) == pytest.approx(
            np.array(expected), abs=1e-6
        )


def test_a_unit_without_a_token_is_absent(wordpiece):
    spec = json.loads(wordpiece._json)
    drops = {"type": "Replace", "pattern": {"String": "\u200b"}, "content": ""}
    spec["normalizer"] = {"type": "Sequence", "normalizers": [drops, spec["normalizer"]]}
    cleaning = parse_tokenizer(
        spec, {"model_max_length": 64}, source="a tokenizer that drops zero-width blanks"
    )
    (f, *_), (value, *_) = windows(SpanTask(SpanOptions(window=30)), [example()], cleaning)
    missing = CONTEXT.split().index("\u200b") + 1
    assert missing not in f.unit
    logits = window_units(f, value[: len(f.unit)])
    assert (logits[missing] == ABSENT).all()
    assert (np.delete(logits, missing, 0) > -100).all()


def test_the_row_joins_the_planned_windows(tokenizer):
    task = SpanTask(SpanOptions(window=5, stride=4))
    asked = [example(), example("España")]
    features, values = windows(task, asked, tokenizer)
    rows = task.unit_logits(features, values)
    assert [r.shape for r in rows] == [(max(f.planned[1] for f in features), 2)] * 2
    for f, value in zip(features, values, strict=True):
        assert np.array_equal(rows[f.row][f.cells], window_units(f, value[: len(f.unit)]))


@pytest.mark.parametrize("unit", ["unit", "token", "position"])
def test_a_window_read_in_parts_is_joined_as_log_odds(tokenizer, unit):
    task = SpanTask(SpanOptions(window=40, stride=40, unit=unit))
    features, values = windows(task, [example()], tokenizer, max_length=40)
    assert len(features) > 1
    (row,) = task.unit_logits(features, values)
    assert len(row) == features[0].planned[1]
    assert (row[0] == 0).all()
    for cell in range(len(row)):
        odds = []
        for f, value in zip(features, values, strict=True):
            logits = window_units(f, value[: len(f.unit)])
            odds += [
                logits[at] - logits[0]
                for at in np.flatnonzero(f.cells == cell)
                if logits[at, 0] > ABSENT
            ]
        assert row[cell] == pytest.approx(np.mean(odds, 0) if odds else [ABSENT, ABSENT], abs=1e-4)


@pytest.mark.parametrize("unit", ["unit", "token", "position"])
def test_the_loss_is_the_cross_entropy_of_training(tokenizer, unit):
    """The loss is the cross entropy of the targets in training."""
    task = SpanTask(SpanOptions(window=8, stride=4, unit=unit))
    asked = [example(), Example("n", "¿Y?", CONTEXT, answers=()), Example("u", "¿Y?", CONTEXT)]
    features, values = windows(task, asked, tokenizer)
    losses = []
    for f, value in zip(features, values, strict=True):
        if f.row < 2:
            log_p = np.log(softmax(value[: len(f.unit)][f.unit >= 0].astype(np.float64)))
            position = np.cumsum(f.unit >= 0) - 1
            losses.append(-np.mean([log_p[position[f.target[c]], c] for c in (0, 1)]))
    assert task.loss(asked, task.join_windows(features, values), ()) == pytest.approx(
        np.mean(losses)
    )


def test_items_average_to_the_main_score():
    asked = [example(name="a"), example("España", name="b"), example("6-2", name="c")]
    task, predictions = SpanTask(), said("García", "España", "")
    items = task.items(asked, predictions, ())
    assert items == [[666_667, 1_000_000], [1_000_000, 1_000_000], [0, 1_000_000]]
    total, count = np.sum(items, 0)
    assert task.score(asked, predictions, ())["f1"] == pytest.approx(total / count, abs=1e-6)


def test_details_count_unanswered_questions_and_group_by_length():
    asked = [
        example(name="a"),
        example("España", name="b"),
        Example("c", "¿Y?", CONTEXT, answers=()),
    ]
    details = SpanTask().details(asked, said("García", "España", ""), ())
    assert details["unanswered"] == 1
    assert details["by_answer_length"]["1"] == {"questions": 1, "exact_match": 1.0, "f1": 1.0}
    assert details["by_answer_length"]["none"] == {"questions": 1, "exact_match": 1.0, "f1": 1.0}
    assert details["by_answer_length"]["2-3"]["f1"] == pytest.approx(2 / 3)


def test_agreement_is_the_share_of_equal_answers():
    assert SpanTask().agreement(said("a", "b", ""), said("a", "c", "")) == pytest.approx(2 / 3)


def test_a_question_without_labels_cannot_be_scored():
    with pytest.raises(DataError, match="question 'u' has no reference answer"):
        SpanTask().score([Example("u", "¿Y?", CONTEXT)], said("a"), ())


def test_the_reader_is_found_by_name_with_its_options():
    found = task_of("span", {"span": {"decoder": "squad", "nbest": 3}})
    assert found.options == SpanOptions(decoder="squad", nbest=3)
    with pytest.raises(ConfigError, match="decodr"):
        task_of("span", {"span": {"decodr": "squad"}})
