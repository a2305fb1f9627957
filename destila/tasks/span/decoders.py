"""Start and end logits of a question's windows -> its answer, at its place in the original text.

Three decoders, at token level. A start and an end are tokens of the context in one window, the end
not before the start, at most `max_answer` tokens apart; the answer is what stands between them in
the context, never rebuilt from tokens.

    destila    score = log-odds of start and end against "no answer in this window" (the first
               token), so that windows compare; every valid pair counts, widened to whole words and
               figures ("equi" to "equipo"; marks stay outside: "1998" in "1998,"). Pairs of a
               window that mean the same add up, as tokens do in units; of two windows the better
               score holds. Probabilities are over all answers and null
    squad      transformers' run_squad (LREC 2022 code and the memoria): the n best starts and ends
    of
               each window, score = sum of raw logits, null = the lowest of the windows. Where
               nothing is valid it predicts the word "empty", here "" (neither matches a Spanish
               answer)
    pipeline   transformers' question-answering pipeline with align_to_words (Speedy Gonzales' dev
               scores): softmax over the first token and the context, score = product of
               probabilities, best over windows, then widened to whole words, which are runs between
               blanks as for SentencePiece tokenizers
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from destila.types import Answer, CharSpan, Features

if TYPE_CHECKING:
    from destila.tasks.span.options import SpanOptions

Windows = Sequence[tuple[Features, np.ndarray]]
"""Features and their logits [L, 2] of one question."""

LONGEST = {"destila": 30, "squad": 30, "pipeline": 15}
"""Tokens of the longest answer, of each decoder."""

_PIECE = r"[\w\u0300-\u036f]+"  # combining accents belong to the letter before them
_WHOLE = re.compile(rf"{_PIECE}(?:(?<=\d)[.,](?=\d){_PIECE})*")
"""Letters and digits side by side, and figures such as `1.998`: no answer of ours cuts one."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Valid answers of one question, and what they are measured against."""

    spans: np.ndarray  # i64 [N, 2], characters
    scores: np.ndarray  # f64 [N]
    null: float  # the score of no answer
    total: float  # the log of what all scores sum to: exp(score - total) is a probability


def answer(windows: Windows, context: str, options: SpanOptions) -> Answer:
    """Find the answer to one question.

    It is "" at 0, 0 where nothing is valid or null wins by more than `null_threshold`. The
    probabilities of the Prediction are [1, 2]: that the context answers and that it does not.

    Args:
        windows: what a model says about each window of the question.
        context: the text that holds the answer.
        options: name the decoder and its limits.
    """
    # every valid answer with its score
    decode = {"destila": _destila, "squad": _squad, "pipeline": _pipeline}[options.decoder]
    candidates = decode(windows, context, options.max_answer or LONGEST[options.decoder], options)
    none = float(np.exp(min(0.0, candidates.null - candidates.total)))
    best = _best(candidates, context, options)

    # without a threshold every question is answered, if anything is valid
    lead = candidates.null - candidates.scores.max(initial=-np.inf)
    wins = options.null_threshold is not None and lead > options.null_threshold
    start, end, probability = best[0] if best and not wins else (0, 0, none)

    # no answer is one of the n best where it may be chosen
    if options.null_threshold is not None:
        best = sorted([*best, (0, 0, none)], key=lambda candidate: -candidate[2])[: options.nbest]
    chance = np.array([[1 - none, none]], np.float32)
    return Answer((context[start:end],), chance, start, end, probability, none, tuple(best))


def context_tokens(feature: Features, rule: str) -> tuple[int, int]:
    """Find the tokens [low, high) of a feature that are its part of the context.

    Args:
        feature: a window of a question.
        rule: `SpanOptions.unit`.
    """
    # every position is a unit: the context begins at `start` and ends with the last real token
    if rule == "position":
        inside = np.flatnonzero(feature.spans[:, 1] > feature.spans[:, 0])
        end = int(inside[-1]) + 1 if len(inside) else feature.start
        return feature.start, max(feature.start, end)

    # else units from 1 on are the context's
    inside = np.flatnonzero(feature.unit >= 1)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


def _destila(windows: Windows, context: str, longest: int, options: SpanOptions) -> _Candidates:
    """Collect all answers by log-odds, widened to words; null has the log-odds 0."""
    left, right = _edges(context)
    parts = []
    for f, value in windows:
        # every pair of tokens, widened to the words that it cuts
        spans, scores = _band(f, value - value[0], longest, options.unit)  # [N, 2], [N]
        wide = np.stack([left[spans[:, 0]], right[spans[:, 1]]], axis=1)

        # pairs of a window that mean the same add up
        spans, scores, first = _grouped(wide, scores)
        parts.append((spans[first], _log_sums(scores, first)))

    # of an answer in two windows the better score holds
    spans, scores, first = _grouped(*_joined(parts))
    scores = np.maximum.reduceat(scores, first) if len(first) else scores
    return _Candidates(spans[first], scores, 0.0, _log_sum(np.append(scores, 0.0)))


def _edges(context: str) -> tuple[np.ndarray, np.ndarray]:
    """Find for every place of a context the start and the end of the word or figure that it cuts.

    A place that cuts nothing is its own. Both arrays are i64 [characters + 1].
    """
    left, right = np.arange(len(context) + 1), np.arange(len(context) + 1)
    for match in _WHOLE.finditer(context):
        start, end = match.span()
        left[start:end], right[start + 1 : end + 1] = start, end
    return left, right


def _grouped(spans: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort spans and scores by place, and find the first index of each distinct span."""
    # start and end as one number
    order = np.argsort(spans[:, 0] << 32 | spans[:, 1], kind="stable")
    spans, scores = spans[order], scores[order]

    changes = np.append(True, (spans[1:] != spans[:-1]).any(1))[: len(spans)]
    return spans, scores, np.flatnonzero(changes)


def _squad(
    windows: Windows,
    context: str,  # noqa: ARG001
    longest: int,
    options: SpanOptions,
) -> _Candidates:
    """Collect the n best answers by raw logits, as run_squad does."""
    null = min(float(v[0].sum()) for _, v in windows)
    spans, scores = _joined([_grid(f, v, longest, options) for f, v in windows])

    # probabilities are over the n best and null alone
    order = np.argsort(-scores, kind="stable")[: options.nbest]
    return _Candidates(spans[order], scores[order], null, _log_sum(np.append(scores[order], null)))


def _pipeline(
    windows: Windows,
    context: str,  # noqa: ARG001
    longest: int,
    options: SpanOptions,
) -> _Candidates:
    """Collect all answers by probability, a softmax per window, as transformers' pipeline does."""
    bands, null = [], np.inf
    for f, value in windows:
        # the softmax runs over the first token and the context
        low, high = context_tokens(f, options.unit)
        seen = np.r_[0, low:high]
        log_p = value.astype(np.float64) - [_log_sum(value[seen, column]) for column in (0, 1)]

        null = min(null, float(log_p[0].sum()))
        bands.append(_band(f, log_p, longest, options.unit))

    return _Candidates(*_joined(bands), null, 0.0)


def _band(
    feature: Features, value: np.ndarray, longest: int, rule: str
) -> tuple[np.ndarray, np.ndarray]:
    """List all valid spans [N, 2] of a window and their scores [N]: start + end logit.

    Args:
        feature: the window, of L tokens, n of them the context's.
        value: start and end logits [L, 2].
        longest: tokens of the longest answer.
        rule: `SpanOptions.unit`.
    """
    low, high = context_tokens(feature, rule)
    if low == high:
        return np.zeros((0, 2), np.int64), np.zeros(0)

    # a mark of a word's start is no character: nothing begins or ends there
    spans = feature.spans[low:high].astype(np.int64)  # [n, 2]
    real = (spans[:, 1] > spans[:, 0])[:, None]  # [n, 1]
    value = np.where(real, value[low:high].astype(np.float64), -np.inf)  # [n, 2]

    # beside each start the ends of the next `width` tokens: a band along the diagonal
    width = min(longest, high - low)
    padded = np.append(value[:, 1], np.full(width - 1, -np.inf))
    ends = np.lib.stride_tricks.sliding_window_view(padded, width)  # [n, width]
    scores = value[:, :1] + ends  # [n, width]

    first, distance = np.nonzero(scores > -np.inf)  # [N]
    places = np.stack([spans[first, 0], spans[first + distance, 1]], axis=1)
    return places, scores[first, distance]


def _grid(
    feature: Features, value: np.ndarray, longest: int, options: SpanOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Pair a window's best starts with its best ends, in run_squad's order.

    The best are those of all tokens; only pairs inside the context are valid.

    Args:
        feature: the window, of L tokens.
        value: start and end logits [L, 2].
        longest: tokens of the longest answer.
        options: how many starts and ends are paired.
    """
    # n best starts beside n best ends
    low, high = context_tokens(feature, options.unit)
    top = [np.argsort(value[:, column])[: -options.nbest - 1 : -1] for column in (0, 1)]
    start, end = (grid.ravel() for grid in np.meshgrid(*top, indexing="ij"))  # [n * n]

    # those that are an answer
    real = feature.spans[:, 1] > feature.spans[:, 0]  # a mark of a word's start is no character
    valid = (
        (start >= low)
        & (end < high)
        & (end >= start)
        & (end - start < longest)
        & real[start]
        & real[end]
    )
    start, end = start[valid], end[valid]  # [N]

    spans = np.stack([feature.spans[start, 0], feature.spans[end, 1]], axis=1).astype(np.int64)
    return spans, value[start, 0].astype(np.float64) + value[end, 1]


def _best(
    candidates: _Candidates, context: str, options: SpanOptions
) -> list[tuple[int, int, float]]:
    """Choose the n best distinct answers, each as (start, end, probability)."""
    best: dict[CharSpan, float] = {}

    # among equals the first in the text; widening makes some spans one, so look at more than n
    for i in _top(candidates.scores, 4 * options.nbest):
        start, end = candidates.spans[i].tolist()
        span = _widened(context, start, end) if options.decoder == "pipeline" else (start, end)
        best.setdefault(span, float(np.exp(candidates.scores[i] - candidates.total)))

    answers = [(start, end, probability) for (start, end), probability in best.items()]
    return answers[: options.nbest]


def _top(scores: np.ndarray, count: int) -> np.ndarray:
    """Find the indices of the highest scores, best first: at least `count`, if there are."""
    if len(scores) <= count:
        return np.argsort(-scores, kind="stable")

    # sort those alone that reach the count-th best score
    least = np.partition(scores, -count)[-count]
    kept = np.flatnonzero(scores >= least)
    return kept[np.argsort(-scores[kept], kind="stable")]


def _widened(context: str, start: int, end: int) -> CharSpan:
    """Widen a span to the blanks around it."""
    while start > 0 and not context[start - 1].isspace():
        start -= 1
    while end < len(context) and not context[end].isspace():
        end += 1
    return start, end


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Put the spans and the scores of all windows behind each other."""
    spans = np.concatenate([spans for spans, _ in parts])
    return spans, np.concatenate([scores for _, scores in parts])


def _log_sum(values: np.ndarray) -> float:
    """Compute log sum exp of values [N]."""
    top = float(values.max())
    return top + float(np.log(np.exp(values - top, dtype=np.float64).sum()))


def _log_sums(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Compute log sum exp of each run of values [N] that begins at an index of `first` [K]."""
    if not len(first):
        return values

    # each run without its largest value, which could overflow
    top = np.maximum.reduceat(values, first)
    lengths = np.diff(np.append(first, len(values)))
    return top + np.log(np.add.reduceat(np.exp(values - np.repeat(top, lengths)), first))
