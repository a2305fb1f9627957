"""Decoders against brute-force readings of the published ones, and exact places in any text."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.tasks.span.decoders import answer
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.task import SpanTask
from destila.types import Example, Features

CONTEXT = (
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis"
)
WORDS = CONTEXT.split()
LEAD = 4  # [CLS], two tokens of a question, [SEP]


def window(start, end, number=0):
    """A feature that reads words [start, end) of CONTEXT, two tokens a word (the first letter and the rest)."""
    spans = [(0, 0), (0, 2), (3, 5), (0, 0)]
    for word in range(start, end):
        place = len(" ".join(WORDS[:word])) + (word > 0)
        spans += [(place, place + 1), (place + 1, place + len(WORDS[word]))]
    spans.append((0, 0))
    unit = np.array([0, -1, -1, -1, *np.repeat(np.arange(1, end - start + 1), 2), -1], np.int32)
    ids, n = np.arange(len(spans), dtype=np.int32), end - start + 1
    return Features(
        row=0,
        window=number,
        input_ids=ids,
        type_ids=ids * 0,
        spans=np.array(spans, np.int32),
        unit=unit,
        start=start,
        owned=np.ones(n, bool),
        target=ids[:2] * 0,
    )


def logits(feature, seed):
    return np.random.default_rng(seed).normal(0, 3, (len(feature.input_ids), 2)).astype(np.float32)


def read(seed):
    windows = [window(0, 10, 0), window(6, 16, 1)]
    return [(f, logits(f, [seed, f.window])) for f in windows]


def pairs(feature, longest):
    """Every valid (first, last) token of the context."""
    last = len(feature.input_ids) - 1
    return [(i, j) for i in range(LEAD, last) for j in range(i, min(last, i + longest))]


def chars(feature, pair):
    return int(feature.spans[pair[0], 0]), int(feature.spans[pair[1], 1])


def widened(span):
    """The words of CONTEXT that a span touches, whole."""
    return CONTEXT.rfind(" ", 0, span[0] + 1) + 1, (CONTEXT + " ").index(" ", span[1])


@pytest.mark.parametrize("seed", range(20))
def test_the_default_is_the_best_pair_by_log_odds_of_words(seed):
    """The default is the best of all pairs by log odds added up over the tokens of words."""
    windows, scores = read(seed), {}
    for f, value in windows:
        mine = {}
        for pair in pairs(f, 5):
            score = float(value[pair[0], 0] - value[0, 0] + value[pair[1], 1] - value[0, 1])
            mine.setdefault(widened(chars(f, pair)), []).append(score)
        for span, each in mine.items():
            scores[span] = max(np.log(np.exp(each).sum()), scores.get(span, -np.inf))
    total = 1 + sum(np.exp(s) for s in scores.values())
    found = answer(windows, CONTEXT, SpanOptions(max_answer=5, nbest=10_000))
    assert (found.start, found.end) == max(scores, key=scores.get)
    assert found.labels == (CONTEXT[found.start : found.end],)
    assert {(a, b): p for a, b, p in found.best} == pytest.approx(
        {k: np.exp(s) / total for k, s in scores.items()}, rel=1e-4
    )
    assert found.null_probability == pytest.approx(1 / total, rel=1e-4)
    assert found.null_probability + sum(p for *_, p in found.best) == pytest.approx(1)


EDGES = "El equi|po, de «Bo|gotá» (nin\u0303|o), ganó en 19|98, 3|,5 a 1.9|98."


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("equi", "equipo"),
        ("po", "equipo"),
        ("equipo", "equipo"),
        ("Bo", "Bogotá"),
        ("gotá", "Bogotá"),
        ("«Bo", "«Bogotá"),
        ("nin\u0303", "nin\u0303o"),
        ("1998", "1998"),
        ("1998,", "1998,"),
        (",", ","),
        ("3", "3,5"),
        ("98.", "1.998."),
    ],
)
def test_the_default_cuts_no_word(cut, whole):
    """The default cuts no word and leaves marks where the model puts them."""
    pieces, at = [], 0
    for run in re.findall(r"[^\s|«»(),.]+|[«»(),.]", EDGES):
        context = EDGES.replace("|", "")
        at = context.index(run, at)
        pieces.append((at, at + len(run)))
        at += len(run)
    start = context.rindex(cut) if cut in ("3", "98.") else context.index(cut)
    first = next(i for i, (a, _) in enumerate(pieces) if a <= start < pieces[i][1])
    last = next(i for i, (_, b) in enumerate(pieces) if b >= start + len(cut))
    spans = np.array([(0, 0), (0, 0), *pieces, (0, 0)], np.int32)
    ids = np.arange(len(spans), dtype=np.int32)
    unit = np.array([0, -1, *np.arange(1, len(pieces) + 1), -1], np.int32)
    f = Features(
        row=0,
        window=0,
        input_ids=ids,
        type_ids=ids * 0,
        spans=spans,
        unit=unit,
        start=0,
        owned=np.ones(len(pieces) + 1, bool),
        target=ids[:2] * 0,
    )
    value = np.zeros((len(ids), 2), np.float32)
    value[first + 2, 0] = value[last + 2, 1] = 12
    found = answer([(f, value)], context, SpanOptions())
    assert (context[found.start : found.end], found.labels) == (whole, (whole,))


def run_squad(windows, longest, nbest):
    """transformers' postprocess_qa_predictions, read literally: (score, start, end) of the best and the null score."""
    found, null = [], None
    for f, value in windows:
        score = float(value[0].sum())
        null = score if null is None else min(null, score)
        for i in np.argsort(value[:, 0])[-1 : -nbest - 1 : -1]:
            for j in np.argsort(value[:, 1])[-1 : -nbest - 1 : -1]:
                inside = all(LEAD <= k < len(f.input_ids) - 1 for k in (i, j))
                if inside and i <= j < i + longest:
                    found.append((float(value[i, 0] + value[j, 1]), *chars(f, (i, j))))
    return max(found, default=None), null


@pytest.mark.parametrize("seed", range(20))
def test_squad_is_run_squads_reading(seed):
    windows = read(seed)
    best, null = run_squad(windows, 30, 20)
    found = answer(windows, CONTEXT, SpanOptions(decoder="squad"))
    assert (found.start, found.end) == best[1:]
    for threshold in (null - best[0] - 0.01, null - best[0] + 0.01):
        found = answer(windows, CONTEXT, SpanOptions(decoder="squad", null_threshold=threshold))
        assert (found.labels == ("",)) == (null - best[0] > threshold)


def test_squad_looks_at_the_best_starts_and_ends_alone():
    """Squad looks only at the best starts and ends of all tokens."""
    f = window(0, 10)
    value = np.zeros((len(f.input_ids), 2), np.float32)
    value[1:3] = 9  # the question has the best two starts and ends
    value[LEAD], value[LEAD + 1] = 6, 5
    assert answer([(f, value)], CONTEXT, SpanOptions(decoder="squad", nbest=2)).labels == ("",)
    assert answer([(f, value)], CONTEXT, SpanOptions(decoder="squad", nbest=4)).labels == ("u",)
    assert answer([(f, value)], CONTEXT, SpanOptions(nbest=2)).labels == ("uno",)


def pipeline(windows, longest):
    """The question-answering pipeline with align_to_words, read literally: (start, end) and the score."""
    best = (-1.0, 0, 0)
    for f, value in windows:
        keep = np.zeros(len(f.input_ids), bool)
        keep[[0, *range(LEAD, len(f.input_ids) - 1)]] = True
        p = np.where(keep[:, None], value, -10000.0).astype(np.float64)
        p = np.exp(p - p.max(0))
        p /= p.sum(0)
        p[0] = 0
        outer = np.tril(np.triu(p[:, :1] * p[:, 1]), longest - 1)
        i, j = np.unravel_index(outer.argmax(), outer.shape)
        best = max(best, (float(outer[i, j]), *chars(f, (i, j))))
    return best


@pytest.mark.parametrize("seed", range(20))
def test_pipeline_is_the_pipelines_reading_widened_to_words(seed):
    windows = read(seed)
    score, start, end = pipeline(windows, 15)
    found = answer(windows, CONTEXT, SpanOptions(decoder="pipeline"))
    assert found.probability == pytest.approx(score, rel=1e-4)
    assert (found.start, found.end) == widened((start, end))


def test_windows_are_compared_by_log_odds_except_by_squad():
    sure, loud = window(0, 8, 0), window(8, 16, 1)
    low, high = (np.zeros((len(f.input_ids), 2), np.float32) for f in (sure, loud))
    low[0] = -6
    low[[LEAD, LEAD + 1], [0, 1]] = 2  # 8 above "not here"
    high[0] = 9
    high[[LEAD, LEAD + 1], [0, 1]] = 7  # louder, but "not here" is louder still
    windows = [(sure, low), (loud, high)]
    assert answer(windows, CONTEXT, SpanOptions()).labels == ("uno",)
    assert answer(windows, CONTEXT, SpanOptions(decoder="squad")).labels == ("nueve",)


@pytest.mark.parametrize(("decoder", "tokens"), [("destila", 30), ("squad", 30), ("pipeline", 15)])
def test_each_decoder_has_its_longest_answer(decoder, tokens):
    f = window(0, 16)
    value = np.full((len(f.input_ids), 2), -9.0, np.float32)
    first = LEAD
    value[first, 0] = 9
    value[first + tokens, 1] = 9  # one too far
    value[first + tokens - 1, 1] = 8
    expected = f.spans[first + tokens - 1, 1]
    found = answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder))
    widened = (CONTEXT + " ").index(" ", expected)
    assert found.end == (widened if decoder == "pipeline" else expected)
    assert (
        answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder, max_answer=tokens + 1)).end
        > expected
    )


@pytest.mark.parametrize("decoder", ["destila", "squad", "pipeline"])
def test_no_answer_wins_only_with_a_threshold(decoder):
    f = window(0, 8)
    value = np.zeros((len(f.input_ids), 2), np.float32)
    value[0] = 4
    value[[LEAD, LEAD + 1], [0, 1]] = 3
    always = answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder))
    assert always.labels == ("uno",)
    null = answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder, null_threshold=0.0))
    assert (null.labels, null.start, null.end) == (("",), 0, 0)
    assert null.probability == null.null_probability == null.best[0][2] > null.best[1][2]
    assert null.probabilities.sum() == pytest.approx(1)
    lenient = answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder, null_threshold=2.5))
    assert lenient.labels == ("uno",)
    assert lenient.probability < lenient.null_probability
    kept = answer([(f, value)], CONTEXT, SpanOptions(decoder=decoder, null_threshold=2.5, nbest=1))
    assert decoder == "squad" or kept.labels == (
        "uno",
    )  # one start and one end, both null's: run_squad has no other


@pytest.mark.parametrize("decoder", ["destila", "squad", "pipeline"])
def test_the_best_answers_are_distinct_and_in_order(decoder):
    found = answer(read(3), CONTEXT, SpanOptions(decoder=decoder, nbest=6))
    assert len({(a, b) for a, b, _ in found.best}) == len(found.best) <= 6
    chances = [p for *_, p in found.best]
    assert chances == sorted(chances, reverse=True)
    assert found.best[0] == (found.start, found.end, found.probability)


PIECES = [
    "niño",
    "nin\u0303o",
    "cómo",
    "co\u0301mo",
    "👩🏽‍🚀",
    "🇺🇾",
    "e\u0301",
    "José,",
    "(3,5",
    "€)",
    "«Año»",
    "1.998",
    "日本",
    "\u200b",
    "ﬁn",
]
BLANKS = [" ", "\u00a0", "\t", "\r\n", "\n", "  ", "\u2003", " \u00a0 ", "\x1f", "\u2028"]
TEXTS = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from(BLANKS)), min_size=1, max_size=40
).map(lambda parts: "".join(word + blank for word, blank in parts))


@pytest.mark.parametrize("decoder", ["destila", "squad", "pipeline"])
@pytest.mark.parametrize("unit", ["unit", "token", "position"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS, lead=st.sampled_from(["", "\ufeff", " ", "\r\n"]), seed=st.integers(0, 99))
def test_offsets_are_the_answers_place_in_the_original_text(
    tokenizer, decoder, unit, text, lead, seed
):
    context = lead + text
    reader = SpanTask(SpanOptions(decoder=decoder, unit=unit, window=9, stride=5))
    asked = Example("q", "¿Co\u0301mo?\u00a0👩🏽‍🚀", context)
    features = reader.encode([asked], tokenizer, (), max_length=64).features
    values = [
        np.random.default_rng([seed, f.window]).normal(0, 4, (len(f.input_ids) + 2, 2))
        for f in features
    ]
    (found,) = reader.decode([asked], reader.join_windows(features, values), ())
    for start, end, _ in [(found.start, found.end, 0), *found.best]:
        assert 0 <= start <= end <= len(context)
        assert context[start:end].strip() == context[start:end]
    assert context[found.start : found.end] == found.labels[0]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS, data=st.data())
def test_a_sure_model_gives_back_the_gold_answer(tokenizer, text, data):
    words = SpanTask(SpanOptions(window=9, stride=3, max_answer=64))
    bounds = [(m, m + len(w)) for w, m in _places(text)]
    first = data.draw(st.integers(0, len(bounds) - 1))
    last = data.draw(st.integers(first, min(first + 4, len(bounds) - 1)))
    gold = bounds[first][0], bounds[last][1]
    asked = Example("q", "¿Cómo?", text, answers=(gold,))
    features = words.encode([asked], tokenizer, (), max_length=64).features
    values = []
    for f in features:
        value = np.zeros((len(f.input_ids), 2))
        value[f.target[0], 0] = value[f.target[1], 1] = 20
        values.append(value)
    if any(f.target[1] for f in features):
        (found,) = words.decode([asked], words.join_windows(features, values), ())
        # characters that the tokenizer drops have no token: an answer may lack them at its ends
        bare = [
            answer.replace("\u200b", "").strip()
            for answer in (found.labels[0], text[gold[0] : gold[1]])
        ]
        assert bare[0] == bare[1]


def _places(text):
    at = 0
    for word in text.split():
        at = text.index(word, at)
        yield word, at
        at += len(word)
