"""Answers to questions: where in the context they start and end, each a distribution over units.

A model says something of every token. Teachers and students with different tokenizers meet at
units, the runs between blanks of the context, and unit 0, "no answer in this window", read at the
first token:

    unit_u = log sum_{t in u} exp(token_t)

so that softmax over units adds up the probabilities of their tokens: at temperature 1 the
divergence between units is at most that between tokens (the log sum inequality) and equal where
every unit is one token. Gold answers meet tokens: the exact characters matter there, and there is
no other tokenizer to agree with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from destila.config import build_config, key_values
from destila.errors import ConfigError, DataError
from destila.results import AnswerResult
from destila.tasks import metrics
from destila.tasks.span import answer_scores
from destila.tasks.span.decoders import answer, context_tokens
from destila.tasks.span.join_units import join_units
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.windows import encode_span, place_answer, window_size
from destila.tasks.user_rows import row_name, string_of
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import (
    Answer,
    Batch,
    CharSpan,
    Encoded,
    Example,
    Features,
    Output,
    Prediction,
    Signal,
    Task,
    UnitLogits,
)

if TYPE_CHECKING:
    from torch import Tensor

_LENGTHS = (
    ("none", 0, 0),
    ("1", 1, 1),
    ("2-3", 2, 3),
    ("4-7", 4, 7),
    ("8 and more", 8, 1 << 30),
)
"""Words of a reference answer: name, from, to."""


@dataclass(frozen=True, slots=True)
class QuestionLogits:
    """What a model says about one question.

    windows: its windows, each with start and end logits, float32 [L, 2].
    """

    windows: tuple[tuple[Features, np.ndarray], ...]


class SpanTask(Task):
    """The question answering task.

    Units are the words of the context, and unit 0 of each window, "not here".
    """

    name = "span"
    head = "span"
    axis = 1
    has_pairs = True
    asks_questions = True
    in_browser = True
    summary = "finds the answer to a question in a Spanish text"
    sample_row: Mapping[str, str] = {
        "text": "¿Dónde vive Ana?",
        "pair": "Ana vive en Sevilla.",
    }

    def __init__(self, options: SpanOptions | None = None) -> None:
        self.options = options or SpanOptions()
        span = self.options
        self.unit_rule = f"{span.unit}, windows of {span.window} words every {span.stride}"
        self.equal_tokens = "" if span.unit == "unit" else f"span.unit = '{span.unit}'"

    def with_settings(self, settings: Mapping[str, Any]) -> SpanTask:
        """Return the task with a `span` table.

        Where `max_length` is known too, its plan of windows is settled, from the settings alone: a
        teacher that reads shorter windows keeps it.
        """
        options = build_config(SpanOptions, dict(settings.get("span") or {}), where="span")
        if "max_length" in settings:
            size, stride = window_size(int(settings["max_length"]), options)
            options = options.model_copy(update={"window": size, "stride": stride})
        return type(self)(options)

    def settings(self) -> dict[str, Any]:
        """Return the `span` table, its plan of windows settled."""
        return key_values(self.options)

    def facts(self) -> dict[str, Any]:
        """Return the `span` table, without which texts would be read in other windows."""
        return {"span": self.settings()}

    # from a text to windows

    def read_row(self, row: Mapping[str, Any], number: int) -> Example:
        """Read a user's row: `question` and `context`, or `text` and `pair`; raise DataError."""
        question = "text" if "text" in row and "question" not in row else "question"
        context = "pair" if "pair" in row else "context"
        return Example(row_name(row, number), string_of(row, question), string_of(row, context))

    def answer_blank(self) -> Answer:
        """Return that a context of blanks holds no answer."""
        return Answer(("",), np.ones((1, 1), np.float32), null_probability=1.0)

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],  # noqa: ARG002
        *,
        max_length: int,
    ) -> Encoded:
        """Encode the windows of every question; see `tasks.span.windows`."""
        return encode_span(examples, tokenizer, max_length=max_length, options=self.options)

    def check_teacher(self, name: str, longest: int) -> None:
        """Raise ConfigError for a teacher that reads fewer tokens than a window advances."""
        if longest and longest < (self.options.stride or 1):
            raise ConfigError(
                f"teacher '{name}' reads at most {longest} tokens, fewer than the stride of"
                f" {self.options.stride or 1} words from one window to the next:"
                " lower span.window and span.stride, or give another teacher"
            )

    def advice(self, examples: Sequence[Example]) -> str:
        """Say what is likely wrong with the settings for training questions; "" when nothing is."""
        impossible = sum(e.answers == () for e in examples)
        if not impossible or self.options.null_threshold is not None:
            return ""
        return (
            f"{impossible} training questions have no answer, and every question will be answered:"
            " set span.null_threshold, for example to 0.0, so that models may say that there is"
            " none"
        )

    # from a model's logits to scores

    def join_windows(
        self, features: Sequence[Features], values: Sequence[np.ndarray]
    ) -> list[QuestionLogits]:
        """Return the windows of every question and their logits, without padding."""
        windows: dict[int, list[tuple[Features, np.ndarray]]] = {}
        for feature, value in zip(features, values, strict=True):
            logits = np.array(value[: len(feature.input_ids)], np.float32)  # [L, 2]
            windows.setdefault(feature.row, []).append((feature, logits))
        return [QuestionLogits(tuple(windows[row])) for row in sorted(windows)]

    def unit_logits(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Return start and end logits f32 [cells, 2] of every question: log-sum-exp over tokens.

        A unit without a token is ABSENT. A planned window that was read in parts is joined as
        log-odds against each part's own unit 0, their mean where two parts hold a unit.
        """
        return [join_units(question.windows) for question in self.join_windows(features, values)]

    def decode(
        self,
        examples: Sequence[Example],
        rows: Sequence[Any],
        labels: Sequence[str],  # noqa: ARG002
    ) -> list[Prediction]:
        """Find one Answer per question; see `tasks.span.decoders`."""
        return [
            answer(row.windows, example.pair or "", self.options)
            for example, row in zip(examples, rows, strict=True)
        ]

    def to_result(
        self,
        example: Example,
        prediction: Prediction,
        labels: Sequence[str],  # noqa: ARG002
    ) -> AnswerResult:
        """Make the answer to a question; offsets are code points of the context."""
        assert isinstance(prediction, Answer)
        return AnswerResult(
            example.id,
            prediction.labels[0],
            prediction.start,
            prediction.end,
            probability=round(prediction.probability, 6),
            null_probability=round(prediction.null_probability, 6),
        )

    def loss(
        self,
        examples: Sequence[Example],
        rows: Sequence[Any],
        labels: Sequence[str],  # noqa: ARG002
    ) -> float:
        """Compute the mean cross-entropy of the first reference's ends over windows, in nats.

        A distribution is over the first token and the context's (with `unit = "position"` over
        all); a window that does not hold the answer points at the first token, as in Speedy
        Gonzales.
        """
        total, count = 0.0, 0
        for example, row in zip(examples, rows, strict=True):
            if example.answers is None:
                continue

            for feature, value in row.windows:
                logits = value[feature.unit >= 0].astype(np.float64)  # [tokens of units, 2]
                gold = value[self._target(feature, example), (0, 1)]  # [2]
                with np.errstate(invalid="ignore"):  # not finite: for the caller to judge
                    total += float((np.logaddexp.reduce(logits, axis=0) - gold).mean())
                count += 1

        return total / max(1, count)

    def main_score(self, labels: Sequence[str]) -> str:  # noqa: ARG002
        """Name the key of the main score: f1."""
        return "f1"

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> dict[str, float]:
        """Compute exact_match and f1, officially and as MLQA; see `tasks.span.answer_scores`."""
        return answer_scores.scores(_texts(predictions), _references(examples))

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> list[list[int]]:
        """Count [official F1 in millionths, a million] of every question."""
        table = answer_scores.per_question(
            _texts(predictions), _references(examples), answer_scores.official
        )
        return [[round(f1 * 1_000_000), 1_000_000] for f1 in table[:, 1].tolist()]

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Count the `unanswered`, and group scores by_answer_length.

        The length is that of the shortest reference, in words.
        """
        answers, references = _texts(predictions), _references(examples)
        table = answer_scores.per_question(answers, references, answer_scores.official)  # [N, 2]
        shortest = [min(golds, key=_count_words, default="") for golds in references]
        lengths = np.array([_count_words(text) for text in shortest])  # [N]

        # a group that no question falls into is left out
        groups = {}
        for name, low, high in _LENGTHS:
            inside = (lengths >= low) & (lengths <= high)
            if inside.any():
                exact, f1 = table[inside].mean(0).tolist()
                groups[name] = {"questions": int(inside.sum()), "exact_match": exact, "f1": f1}
        return {"unanswered": answers.count(""), "by_answer_length": groups}

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Compute the share of questions with the same answer."""
        return metrics.agreement(_texts(one), _texts(other))

    # what training compares

    def signal(self, output: Output, batch: Batch) -> Signal:
        """Return start and end logits of every unit [B, U, 2], float32."""
        from destila.losses.pool import log_sum_units  # torch, which a prediction may lack

        units = batch.unit_mask.shape[1]
        return Signal(log_sum_units(output.logits, batch.unit, units), batch.unit_mask)

    def targets(self, batch: Batch) -> Tensor:
        """Return the tokens at which the answer starts and ends [B, 2]; 0 where none is held."""
        return batch.target

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return token logits [B, L, 2]; tokens of no unit (question, separators) are no answer."""
        return Signal(output.logits, batch.unit >= 0)

    def teacher_logits(self, row: np.ndarray, feature: Features) -> np.ndarray:
        """Return the teacher's logits [U, 2] for the units of a window.

        Where this tokenizer reads less than the planned window at once, the teacher's mass on the
        units outside goes to unit 0, start and end apart: for this window the answer is elsewhere.
        Probabilities stay what they were.

        Args:
            row: the teacher's, over all planned windows of the question, [cells, 2].
            feature: the student's window.
        """
        assert feature.cells is not None, "windows of questions know their cells"
        low, high = feature.planned
        logits: np.ndarray = row[feature.cells].astype(np.float32)  # [U, 2]
        if len(feature.cells) == high - low:
            return logits

        outside = np.ones(high - low, bool)
        outside[feature.cells - low] = False
        elsewhere = row[low:high][outside].astype(np.float32)  # [units outside, 2]
        logits[0] = np.logaddexp.reduce(np.concatenate([logits[:1], elsewhere]), axis=0)
        return logits

    def _target(self, feature: Features, example: Example) -> CharSpan:
        """Find the tokens at which the first reference starts and ends; (0, 0) for none here."""
        if not example.answers:
            return 0, 0

        low, high = context_tokens(feature, self.options.unit)
        ends = place_answer(feature.spans[low:high], example.pair or "", example.answers[0])
        return (ends[0] + low, ends[1] + low) if ends else (0, 0)


def _count_words(text: str) -> int:
    """Count the words of an answer."""
    return len(text.split())


def _texts(predictions: Sequence[Prediction]) -> list[str]:
    """List the answers of a model."""
    return [p.labels[0] for p in predictions]


def _references(examples: Sequence[Example]) -> list[list[str]]:
    """Return the texts of every question's references; raise DataError for an unlabelled one."""
    for example in examples:
        if example.answers is None:
            raise DataError(
                f"question '{example.id}' has no reference answer and cannot be scored:"
                " give one or drop it"
            )

    return [[(e.pair or "")[start:end] for start, end in e.answers or ()] for e in examples]


TASK = SpanTask()
