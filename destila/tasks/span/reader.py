"""Extractive question answering without its loss: options, and the reader that training and every runtime share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from destila.config import Options, opt
from destila.errors import DataError
from destila.tasks import metrics as word_metrics
from destila.tasks.span import metrics
from destila.tasks.span.decoders import answer, context_tokens
from destila.tasks.span.windows import encode_span, place
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import ABSENT, CharSpan, Encoded, Example, Features, Prediction, UnitLogits

_LENGTHS = (("none", 0, 0), ("1", 1, 1), ("2-3", 2, 3), ("4-7", 4, 7), ("8 and more", 8, 1 << 30))
"""Words of a reference answer: name, from, to."""


class SpanOptions(Options):
    """A recipe's `span` table: how contexts are read, what is compared, how answers are found."""

    window: int | None = opt(None, "words of context in a window; none = half of max_length", ge=1)
    stride: int | None = opt(
        None, "words from one window to the next; none = three quarters of the window", ge=1
    )
    unit: Literal["unit", "token", "position"] = opt(
        "unit",
        "compared with the teacher: words, tokens of the context, or all positions; the last two need equal tokens",
    )
    decoder: Literal["destila", "squad", "pipeline"] = opt(
        "destila", "how answers are found: ours, run_squad's, or the transformers pipeline's"
    )
    max_answer: int | None = opt(
        None, "longest answer in tokens; none = the decoder's own, 30, 30 or 15", ge=1
    )
    nbest: int = opt(20, "answers that are kept, best first", ge=1)
    null_threshold: float | None = opt(
        None,
        "no answer when its score exceeds the best answer's by more than this; none = always answer, "
        "0.0 for data with questions that have no answer",
    )


@dataclass(frozen=True, slots=True)
class Read:
    """What a model says about one question: its features and their start and end logits, float32 [L, 2] each."""

    windows: tuple[tuple[Features, np.ndarray], ...]


class SpanReader:
    """A question and its context: units are the words of the context, and unit 0 of each window, "not here"."""

    name = "span"

    def __init__(self, options: SpanOptions | None = None) -> None:
        self.options = options or SpanOptions()

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],  # noqa: ARG002
        *,
        max_length: int,
    ) -> Encoded:
        """The windows of every question; see `tasks.span.windows`."""
        return encode_span(examples, tokenizer, max_length=max_length, options=self.options)

    def gather(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> list[Read]:
        """The windows of every question and their logits, without padding."""
        found: dict[int, list[tuple[Features, np.ndarray]]] = {}
        for f, value in zip(features, values, strict=True):
            found.setdefault(f.row, []).append((f, np.array(value[: len(f.input_ids)], np.float32)))
        return [Read(tuple(found[row])) for row in sorted(found)]

    def units(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Start and end logits f32 [cells, 2] of every question: log-sum-exp over a unit's tokens, ABSENT without one.

        A planned window that was read in parts is joined as log-odds against each part's own unit 0, their mean where
        two parts hold a unit.
        """
        return [_row(read.windows) for read in self.gather(features, values)]

    def decode(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[Prediction]:
        """One Answer per question; see `tasks.span.decoders`."""
        return [
            answer(row.windows, e.pair or "", self.options)
            for e, row in zip(examples, rows, strict=True)
        ]

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Mean cross-entropy of the first reference's start and end over windows, in nats.

        A distribution is over the first token and the context's (with `unit = "position"` over all); a window that does not
        hold the answer points at the first token, as in Speedy Gonzales.
        """
        total, count = 0.0, 0
        for example, row in zip(examples, rows, strict=True):
            for feature, value in row.windows if example.answers is not None else ():
                logits = value[feature.unit >= 0].astype(np.float64)
                gold = value[self._target(feature, example), (0, 1)]
                with np.errstate(
                    invalid="ignore"
                ):  # a loss that is not finite is for the caller to judge
                    total += float((np.logaddexp.reduce(logits, axis=0) - gold).mean())
                count += 1
        return total / max(1, count)

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> dict[str, float]:
        """exact_match and f1 (official), exact_match_es and f1_es (MLQA's); see `tasks.span.metrics`."""
        return metrics.scores(_texts(predictions), _references(examples))

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> list[list[int]]:
        """[official F1 in millionths, a million] of every question."""
        table = metrics.per_question(_texts(predictions), _references(examples), metrics.official)
        return [[round(f1 * 1_000_000), 1_000_000] for f1 in table[:, 1].tolist()]

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> dict[str, Any]:
        """How many are `unanswered`; by_answer_length: questions, exact_match and f1 by words of the shortest reference."""
        answers, references = _texts(predictions), _references(examples)
        table = metrics.per_question(answers, references, metrics.official)
        lengths = np.array(
            [min((len(r.split()) for r in golds), default=0) for golds in references]
        )
        groups = {}
        for name, low, high in _LENGTHS:
            inside = (lengths >= low) & (lengths <= high)
            if inside.any():
                exact, f1 = table[inside].mean(0).tolist()
                groups[name] = {"questions": int(inside.sum()), "exact_match": exact, "f1": f1}
        return {"unanswered": answers.count(""), "by_answer_length": groups}

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Share of questions with the same answer."""
        return word_metrics.agreement(_texts(one), _texts(other))

    def _target(self, feature: Features, example: Example) -> CharSpan:
        low, high = context_tokens(feature, self.options.unit)
        found = (
            place(feature.spans[low:high], example.pair or "", example.answers[0])
            if example.answers
            else None
        )
        return (found[0] + low, found[1] + low) if found else (0, 0)


def unit_logits(feature: Features, value: np.ndarray) -> np.ndarray:
    """Logits f32 [U, 2] of a feature's local units from its tokens' [L, 2]: log-sum-exp, ABSENT without a token."""
    out = np.full((len(feature.owned), 2), ABSENT, np.float32)
    kept = feature.unit >= 0
    unit = feature.unit[kept]  # in order
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    out[unit[starts]] = np.logaddexp.reduceat(value[kept], starts, axis=0)
    return out


def _row(read: Sequence[tuple[Features, np.ndarray]]) -> np.ndarray:
    row = np.full((max(f.planned[1] for f, _ in read), 2), ABSENT, np.float32)
    for _, group in groupby(read, key=lambda pair: pair[0].window):
        parts = [(f, unit_logits(f, value)) for f, value in group]
        low, high = parts[0][0].planned
        row[low:high] = parts[0][1] if len(parts) == 1 else _joined(parts, high - low)
    return row


def _joined(parts: Sequence[tuple[Features, np.ndarray]], cells: int) -> np.ndarray:
    """Log-odds [cells, 2] of a planned window that was read in parts."""
    total, count = np.zeros((cells, 2), np.float32), np.zeros((cells, 1), np.float32)
    for f, logits in parts:
        own = np.asarray(f.cells) - f.planned[0]
        total[own] += np.where(logits > ABSENT, logits - logits[0], ABSENT)
        count[own] += 1
    return total / count


def _texts(predictions: Sequence[Prediction]) -> list[str]:
    return [p.labels[0] for p in predictions]


def _references(examples: Sequence[Example]) -> list[list[str]]:
    for example in examples:
        if example.answers is None:
            raise DataError(
                f"question '{example.id}' has no reference answer and cannot be scored: give one or drop it"
            )
    return [[(e.pair or "")[start:end] for start, end in e.answers or ()] for e in examples]
