"""What a task does with characters, tokens and numbers: everything of it but the loss. No torch.

A reader turns examples into windows of tokens, the logits of those windows into one row per example, rows into
predictions and predictions into scores. Training, evaluation, every runtime and the server use the same reader, so they
give the same answer. `destila/tasks/<name>.py` adds to it what only training needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from destila.errors import ConfigError
from destila.tasks import metrics as score
from destila.tasks.decode import decode
from destila.tasks.encode import encode_classify, encode_tag
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Encoded, Example, Features, Prediction, Reader, UnitLogits


class ClassifyReader:
    """One text or a pair: the unit is the example, read at the first token."""

    name = "classify"

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """One window per example, truncated to `max_length` tokens; see `tasks.encode`."""
        return encode_classify(examples, tokenizer, labels, max_length=max_length)

    def gather(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Logits [1, C] of every example."""
        found = {
            f.row: np.asarray(value, np.float32)[None]
            for f, value in zip(features, values, strict=True)
        }
        return [found[row] for row in sorted(found)]

    units = gather

    def decode(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[Prediction]:
        """One label and its distribution per example."""
        return decode(rows, labels)

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Mean cross-entropy over examples, in nats."""
        return _gold_loss(
            [[e.target] if e.target is not None else [] for e in examples], rows, labels
        )

    def score(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, float]:
        """accuracy, macro_f1, mcc, ece."""
        probabilities = np.concatenate([p.probabilities for p in predictions])
        return score.classification(_golds(examples), _names(predictions), labels, probabilities)

    def items(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> list[list[int]]:
        """[right, 1] of every example."""
        return score.items(self.name, labels, _golds(examples), _names(predictions))

    def details(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """per_label and confusion over examples."""
        return score.tables(self.name, labels, _golds(examples), _names(predictions))

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Share of examples with the same label."""
        return score.agreement(_names(one), _names(other))


class TagReader:
    """Given words: the unit is the word, read at its first sub-token."""

    name = "tag"

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """Overlapping windows over words, each word owned by one window; see `tasks.encode`."""
        return encode_tag(examples, tokenizer, labels, max_length=max_length)

    def gather(self, features: Sequence[Features], values: Sequence[np.ndarray]) -> UnitLogits:
        """Logits [U, C] of every example; each word is taken from the window that owns it."""
        sizes: dict[int, int] = {}
        for f in features:
            sizes[f.row] = max(sizes.get(f.row, 0), f.start + len(f.owned))
        rows: dict[int, np.ndarray] = {}
        for f, value in zip(features, values, strict=True):
            row = rows.setdefault(f.row, np.zeros((sizes[f.row], value.shape[-1]), np.float32))
            units, first = np.unique(f.unit, return_index=True)
            kept = units >= 0
            kept[kept] = f.owned[units[kept]]
            row[f.start + units[kept]] = value[first[kept]]
        return [rows[i] for i in sorted(rows)]

    units = gather

    def decode(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[Prediction]:
        """One label and its distribution per word."""
        return decode(rows, labels)

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Mean cross-entropy over words, in nats."""
        return _gold_loss([e.target or () for e in examples], rows, labels)

    def score(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, float]:
        """entity_f1 for BIO labels, pos_accuracy and chunk_f1 otherwise; accuracy and ece per word always."""
        probabilities = np.concatenate([p.probabilities for p in predictions])
        return score.tagging(
            [e.target or () for e in examples],
            [p.labels for p in predictions],
            labels,
            probabilities,
        )

    def items(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> list[list[int]]:
        """Counts per sentence: see `tasks.metrics.items`."""
        return score.items(
            self.name, labels, [e.target or () for e in examples], [p.labels for p in predictions]
        )

    def details(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """per_label and confusion over words."""
        return score.tables(
            self.name, labels, [e.target or () for e in examples], [p.labels for p in predictions]
        )

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Share of words with the same label."""
        return score.agreement([p.labels for p in one], [p.labels for p in other])


def reader(task: str, options: Mapping[str, Any] | None = None) -> Reader:
    """The reader of a task by name; options: what a model folder's destila.json says about it. Raises ConfigError."""
    if task == "span":
        from destila.config import (
            build_config,
        )  # a tenth of a second that other tasks need not wait
        from destila.tasks.span.reader import SpanOptions, SpanReader

        return SpanReader(build_config(SpanOptions, dict(options or {}), where="span"))
    readers: dict[str, Any] = {"classify": ClassifyReader, "tag": TagReader}
    if task not in readers:
        raise ConfigError(f"no task is called '{task}': known are {', '.join(readers)}, span")
    found: Reader = readers[task]()
    return found


def _golds(examples: Sequence[Example]) -> list[str]:
    return [str(e.target) for e in examples]


def _names(predictions: Sequence[Prediction]) -> list[str]:
    return [p.labels[0] for p in predictions]


def _gold_loss(
    golds: Sequence[Sequence[Any]], rows: Sequence[np.ndarray], labels: Sequence[str]
) -> float:
    ids = {label: i for i, label in enumerate(labels)}
    total, count = 0.0, 0
    for gold, row in zip(golds, rows, strict=True):
        if len(gold):
            top = row.max(-1, keepdims=True)
            chosen = row[np.arange(len(gold)), [ids[g] for g in gold]] - top[:, 0]
            total += float((np.log(np.exp(row - top).sum(-1)) - chosen).sum())
            count += len(gold)
    return total / max(1, count)
