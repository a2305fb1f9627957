"""Texts on several threads: answers in their places, to the same bits, bad ones among them."""

from __future__ import annotations

import random

import pytest

from destila.errors import DataError
from destila.inference.answer_items import Manner
from destila.inference.items import UserText
from destila.inference.labeller import Labeller
from destila.results import RefusedResult

BAD = [None, 3, {"texto": "x"}, {"text": 7}, "", "a" * 5000, "media \ud83d cara"]


@pytest.fixture
def mixed(asked):
    """Sixty texts with every kind of bad one among them, twice."""
    texts = [*asked("classify"), *BAD, *BAD]
    return random.Random(0).sample(texts, len(texts))


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_every_text_has_its_answer_whatever_the_threads(exported, mixed, task):
    folder = exported(task)
    one, three = Labeller(folder, threads=1), Labeller(folder, threads=3)
    alone = [next(one.answers([text], first=i)) for i, text in enumerate(mixed)]
    assert list(one.answers(mixed)) == alone
    assert list(three.answers(iter(mixed))) == alone
    assert [answer.id for answer in alone] == [str(i) for i in range(len(mixed))]
    refused = [text for text, a in zip(mixed, alone, strict=True) if isinstance(a, RefusedResult)]
    assert len(refused) == 8


def test_strict_stops_at_the_first_in_order(exported, mixed):
    texts = ["uno"] * 30 + [None] + ["dos"] * 30 + [3]
    for threads in (1, 3):
        answers = Labeller(exported("tag"), threads=threads).answers(texts, strict=True)
        assert [next(answers).id for _ in range(30)] == [str(i) for i in range(30)]
        with pytest.raises(DataError, match="text 31: null instead of a text"):
            next(answers)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_stood_before_a_damaged_place_is_answered(exported, threads):
    def source():
        yield from (UserText(f"line {i}", {"text": "uno"}) for i in range(20))
        raise DataError("x.gz is damaged")

    answers = Labeller(exported("classify"), threads=threads).label(source(), Manner())
    assert [next(answers)[1].id for _ in range(20)] == [str(i) for i in range(20)]
    with pytest.raises(DataError, match="damaged"):
        next(answers)


def test_more_threads_than_the_machine_has_are_not_begun(exported):
    assert Labeller(exported("tag"), threads=100_000).predictor.threads < 1000
