"""Windows of questions: the same for every tokenizer, nothing lost, answers where they stand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from destila.errors import ConfigError, DataError, TokenizerError
from destila.tasks.span import storage
from destila.tasks.span.contexts import unit_bounds
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.windows import encode_span, what_is_cut, windows
from destila.types import IGNORE, Example

CONTEXT = (
    "El presidente de la República visitó Sevilla, Córdoba y Málaga en marzo de 1998; su entrenador,\u00a0José "
    "García, ganó 6-2.\r\nLuego\tcamina hacia el río (3,5 €) y celebró la victoria 👩🏽‍🚀 con la nin\u0303a."
)
QUESTION = "¿Quién visitó Sevilla?"


def example(answer=None, context=CONTEXT, name="q"):
    if answer is None:
        return Example(name, QUESTION, context)
    start = context.index(answer) if answer else 0
    return Example(
        name, QUESTION, context, answers=((start, start + len(answer)),) if answer else ()
    )


def encode(examples, tokenizer, max_length=64, **options):
    return encode_span(examples, tokenizer, max_length=max_length, options=SpanOptions(**options))


def test_units_are_what_split_finds():
    text = " \ufeffUno\u00a0dos\r\ntres\u2003 cuatro\x1f5\x85seis\u200bsiete "
    assert [text[a:b] for a, b in unit_bounds(text)] == text.split()


@pytest.mark.parametrize(
    ("count", "size", "stride"),
    [(1, 4, 3), (4, 4, 3), (5, 4, 3), (40, 4, 1), (41, 7, 7), (100, 24, 18)],
)
def test_windows_cover_every_unit_and_none_is_idle(count, size, stride):
    plan = windows(count, size, stride)
    assert set().union(*(range(a, b) for a, b in plan)) == set(range(count))
    assert plan[-1][1] == count
    assert all(b - a <= size for a, b in plan)
    assert len(plan) == 1 or plan[-2][1] < count


def test_a_window_holds_question_and_part_of_the_context(tokenizer):
    f = encode([example()], tokenizer, window=5).features[0]
    assert f.input_ids[0] == tokenizer.cls_id
    assert f.unit[0] == 0
    assert len(f.owned) == 6
    assert f.owned.all()
    for unit, (start, end) in enumerate(unit_bounds(CONTEXT)[:5].tolist(), 1):
        spans = f.spans[f.unit == unit]
        assert (spans[0, 0], spans[-1, 1]) == (start, end)


def test_plan_and_cells_are_the_same_for_every_tokenizer(wordpiece, unigram, bpe, bytelevel):
    plans = []
    for tokenizer in (wordpiece, unigram, bpe, bytelevel):
        features = encode([example()], tokenizer, window=8, stride=5).features
        plans.append(sorted({(f.window, f.planned) for f in features}))
        for f in features:
            assert f.cells[0] == f.planned[0]
            assert (np.diff(f.cells[1:]) == 1).all()
            assert f.cells[1] - f.planned[0] - 1 == f.start - 5 * f.window
    assert plans.count(plans[0]) == 4
    sizes = [high - low for _, (low, high) in plans[0]]
    assert sizes == [1 + b - a for a, b in windows(len(CONTEXT.split()), 8, 5)]


@pytest.mark.parametrize("unit", ["unit", "token", "position"])
def test_a_window_that_does_not_fit_is_read_in_parts(tokenizer, unit):
    """A planned window that does not fit is read in parts that cover it."""
    found = encode([example()], tokenizer, max_length=48, window=30, stride=30, unit=unit)
    assert found.notes["narrowed"] >= 1
    assert max(len(f.input_ids) for f in found.features) <= 48
    for number in {f.window for f in found.features}:
        parts = [f for f in found.features if f.window == number]
        low, high = parts[0].planned
        assert {f.planned for f in parts} == {(low, high)}
        assert set(np.concatenate([f.cells for f in parts]).tolist()) == set(range(low, high))
        assert all(f.cells[0] == low for f in parts)


def test_units_may_be_tokens_or_positions(tokenizer):
    of = {
        rule: encode([example()], tokenizer, window=6, unit=rule).features[0]
        for rule in ("unit", "token", "position")
    }
    token, position = of["token"], of["position"]
    assert np.array_equal(token.input_ids, of["unit"].input_ids)
    inside = np.flatnonzero(token.unit > 0)
    assert (np.diff(inside) == 1).all()
    assert token.unit[inside].tolist() == list(range(1, len(inside) + 1))
    assert set(np.flatnonzero(of["unit"].unit > 0)) <= set(inside)
    assert position.unit.tolist() == list(range(len(position.input_ids)))
    assert position.cells.tolist() == list(range(*position.planned))
    assert position.start == inside[0]


@pytest.mark.parametrize(
    "answer", ["Sevilla", "presidente de la República", "José", "García", "6-2", "€"]
)
def test_the_target_is_the_tokens_of_the_answer(tokenizer, answer):
    asked = example(answer)
    start, end = asked.answers[0]
    bounds = unit_bounds(CONTEXT)
    features = encode([asked], tokenizer, window=12, stride=4).features
    assert any(f.target[1] for f in features)
    for f in features:
        first, last = f.target
        inside = bounds[f.start, 0] <= start and end <= bounds[f.start + len(f.owned) - 2, 1]
        assert (last > 0) == inside
        if inside:
            assert f.spans[first, 0] <= start < f.spans[first, 1]
            assert f.spans[last, 0] < end <= f.spans[last, 1]


def test_questions_without_answer_point_at_the_first_token(tokenizer):
    """Questions without answer point at the first token and unlabelled ones nowhere."""
    features = encode([example(""), example()], tokenizer).features
    assert {(f.row, *f.target.tolist()) for f in features} == {(0, 0, 0), (1, IGNORE, IGNORE)}


def test_an_answer_longer_than_every_window_is_counted(tokenizer):
    found = encode(
        [example("presidente de la República visitó Sevilla, Córdoba"), example("Málaga")],
        tokenizer,
        window=4,
    )
    assert found.notes["answers in no window"] == 1


def test_answers_inside_a_token_are_counted(wordpiece):
    inside = Example("q", QUESTION, CONTEXT, answers=((1, 6),))
    assert (
        encode([inside, example("Sevilla")], wordpiece).notes[
            "answers that begin or end inside a token"
        ]
        == 1
    )


def test_a_context_is_tokenised_once(tokenizer, monkeypatch):
    """A context is tokenised once however many questions it has."""
    seen, text = [], tokenizer.text
    monkeypatch.setattr(tokenizer, "text", lambda texts: seen.extend(texts) or text(texts))
    monkeypatch.setattr("destila.tasks.span.contexts._CHUNK", 3)
    encode([example("Málaga", name=str(n)) for n in range(10)], tokenizer)
    assert seen.count(CONTEXT) == 1
    assert seen.count(QUESTION) == 10


def test_windows_in_a_mapped_file_are_those_in_memory(tokenizer, monkeypatch):
    questions = [example("Málaga", name=str(n)) for n in range(50)]
    before = encode(questions, tokenizer, window=6).features
    monkeypatch.setattr(storage, "SPILL_BYTES", 5000)
    after = encode(questions, tokenizer, window=6).features
    base = after[0].input_ids
    while not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    assert not isinstance(before[0].input_ids.base, np.memmap)
    assert type(base).__name__ in ("memmap", "mmap")
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        for name in ("input_ids", "type_ids", "spans", "unit", "target", "owned", "cells"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert (a.row, a.window, a.start, a.planned) == (b.row, b.window, b.start, b.planned)
    assert [f.row for f in after[2:5]] == [before[i].row for i in (2, 3, 4)]


def test_a_full_disk_is_one_error(tokenizer, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "SPILL_BYTES", 100)
    monkeypatch.setattr(storage.tempfile, "TemporaryFile", full)
    with pytest.raises(DataError, match=r"No space left.*TMPDIR"):
        encode([example()], tokenizer)


def test_a_question_longer_than_its_share_is_refused_alone(tokenizer):
    """Training reads its beginning; the questions beside it are read as ever."""
    long = Example("q7", "¿cuándo " * 60, CONTEXT)
    found = encode([example(), long, example()], tokenizer)
    assert list(found.refused) == [1]
    assert re.match(r"the question has \d+ tokens; of 64 it may take \d+", found.refused[1])
    assert found.notes["questions cut"] == 1
    assert {f.row for f in found.features} == {0, 1, 2}
    assert max(len(f.input_ids) for f in found.features) <= 64
    (said,) = what_is_cut([example(), long], tokenizer, max_length=64)
    assert said.startswith("question 'q7': the question has")


def test_a_word_longer_than_the_room_is_read_by_its_beginning(tokenizer):
    context = "El río " + "z," * 200 + " nace en Cazorla ."
    answer = context.index("Cazorla"), context.index("Cazorla") + 7
    found = encode([Example("q", QUESTION, context, answers=(answer,))], tokenizer)
    assert found.cut[0].startswith("the word 'z,z,")
    assert (found.refused, found.notes["contexts with a word cut"]) == ({}, 1)
    assert found.notes["answers in no window"] == 0
    assert max(len(f.input_ids) for f in found.features) <= 64
    units = {f.start + int(u) - 1 for f in found.features for u in f.unit if u > 0}
    assert units == set(range(len(context.split())))


@pytest.mark.parametrize("unit", ["token", "position"])
def test_a_long_word_is_cut_whatever_a_unit_is(tokenizer, unit):
    found = encode([example(context="El río " + "z," * 200 + " nace")], tokenizer, unit=unit)
    assert list(found.cut) == [0]
    assert max(len(f.input_ids) for f in found.features) <= 64


@pytest.mark.parametrize("context", [None, "", " \n\u00a0"])
def test_a_blank_context_is_an_error(tokenizer, context):
    with pytest.raises(DataError, match="question 'q' has no context"):
        encode([Example("q", QUESTION, context)], tokenizer)


def test_an_impossible_plan_is_an_error(tokenizer):
    with pytest.raises(ConfigError, match="stride = 9 skips units: windows hold 8"):
        encode([example()], tokenizer, window=8, stride=9)
    with pytest.raises(ConfigError, match="holds 48 tokens, fewer than the stride of 60 units"):
        encode([example()], tokenizer, max_length=48, window=80, stride=60)
    with pytest.raises(TokenizerError, match="holds at most 64 tokens"):
        encode([example()], tokenizer, max_length=128)
