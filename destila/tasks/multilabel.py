"""Several labels for one text, or none: every label is a question of its own.

The model is that of `classify.py` with another reading: a logit is turned into a probability by
itself (sigmoid), the gold loss is the binary cross-entropy and the divergence from the teacher is
that of two outcomes, both averaged over labels. A label is given where its probability reaches the
threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from destila.errors import ConfigError
from destila.results import LabelsResult
from destila.tasks import label_metrics
from destila.tasks.classes import class_id
from destila.tasks.classify import ClassifyTask
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import IGNORE, Batch, Encoded, Example, Output, Prediction, Signal

if TYPE_CHECKING:
    from torch import Tensor

LABEL_SCORES = ("micro_f1", "macro_f1")
"""The scores that may be the main one; the first unless a recipe says otherwise."""


class MultilabelTask(ClassifyTask):
    """Classification with any number of labels for a text, or for a pair.

    Args:
        metric: the main score, of `LABEL_SCORES`; "" for the first of them.
        threshold: least probability of a label that is given.
    """

    name = "multilabel"
    label_sets = True
    head = "multilabel"
    axis = 0
    unit_rule = "example, each label for itself"
    baselines = ("tfidf_labels", "majority")
    in_browser = False
    summary = "gives a Spanish text (or a pair of texts) those of {labels} labels that apply"

    def __init__(self, metric: str = "", threshold: float = 0.5) -> None:
        super().__init__(metric)
        self.threshold = threshold

    def with_settings(self, settings: Mapping[str, Any]) -> MultilabelTask:
        """Return the task with the main score and the threshold of a recipe or a model folder."""
        metric, threshold = settings.get("metric") or "", settings.get("label_threshold", 0.5)
        if metric and metric not in LABEL_SCORES:
            raise ConfigError(
                f"metric = '{metric}': several labels have {' and '.join(LABEL_SCORES)}"
            )
        if not isinstance(threshold, int | float) or not 0 < threshold < 1:
            raise ConfigError(f"label_threshold = {threshold!r} must be between 0 and 1")
        return MultilabelTask(metric, float(threshold))

    def settings(self) -> dict[str, Any]:
        """Return the threshold, and the main score where it is not the usual one."""
        metric = {"metric": self.metric} if self.metric not in ("", LABEL_SCORES[0]) else {}
        return {"label_threshold": self.threshold, **metric}

    facts = settings

    # from a text to windows

    def encode(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_length: int,
    ) -> Encoded:
        """Encode one window per example; its target is 1 for every label that applies, else 0."""
        texts = [replace(example, target=None) for example in examples]
        encoded = super().encode(texts, tokenizer, labels, max_length=max_length)
        ids = {label: i for i, label in enumerate(labels)}
        features = [
            replace(feature, target=_target(examples[feature.row], ids))
            for feature in encoded.features
        ]
        return replace(encoded, features=features)

    # from a model's logits to scores

    def decode(
        self,
        examples: Sequence[Example],  # noqa: ARG002
        rows: Sequence[Any],
        labels: Sequence[str],
    ) -> list[Prediction]:
        """Choose every label whose probability reaches the threshold."""
        predictions = []
        for row in rows:
            chances = _sigmoid(np.asarray(row, np.float32))  # [1, C]
            chosen = np.flatnonzero(chances[0] >= self.threshold)
            predictions.append(Prediction(tuple(labels[int(i)] for i in chosen), chances))
        return predictions

    def to_result(  # type: ignore[override]  # several labels are not one
        self, example: Example, prediction: Prediction, labels: Sequence[str]
    ) -> LabelsResult:
        """Make the labels of a text, with every probability."""
        chances = zip(labels, prediction.probabilities[0], strict=True)
        return LabelsResult(
            example.id,
            example.text,
            prediction.labels,
            {label: round(float(p), 6) for label, p in chances},
            pair=example.pair,
        )

    def loss(
        self, examples: Sequence[Example], rows: Sequence[Any], labels: Sequence[str]
    ) -> float:
        """Compute the mean binary cross-entropy over examples and labels, in nats."""
        total, count = 0.0, 0
        for example, row in zip(examples, rows, strict=True):
            if example.target is None:
                continue
            logits = np.asarray(row[0], np.float64)  # [C]
            gold = np.isin(np.array(labels), list(example.target))
            # -log sigmoid of a logit, or of its opposite where the label does not apply
            total += float(np.logaddexp(0.0, np.where(gold, -logits, logits)).mean())
            count += 1
        return total / max(1, count)

    def main_score(self, labels: Sequence[str]) -> str:  # noqa: ARG002
        """Name the key of the main score: micro_f1, unless the recipe chose another."""
        return self.metric or LABEL_SCORES[0]

    def score(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, float]:
        """Compute micro_f1, macro_f1 and exact_match (all labels of a text right)."""
        return label_metrics.multilabel(_golds(examples), _given(predictions), labels)

    def items(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> list[list[int]]:
        """Count what the main score is made of in every example."""
        main = self.main_score(labels)
        return label_metrics.label_items(main, _golds(examples), _given(predictions), labels)

    def details(
        self,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        labels: Sequence[str],
    ) -> dict[str, Any]:
        """Make the table per_label; with several labels a text there is no confusion."""
        table = label_metrics.label_table(_golds(examples), _given(predictions), labels)
        return {"labels": list(labels), "per_label": table}

    def agreement(self, one: Sequence[Prediction], other: Sequence[Prediction]) -> float:
        """Compute the share of examples with the same labels."""
        equal = sum(set(a.labels) == set(b.labels) for a, b in zip(one, other, strict=True))
        return equal / max(1, len(one))

    # what training compares

    def targets(self, batch: Batch) -> Tensor:
        """Return 1 or 0 for every label, [B, 1, C]."""
        return batch.target.unsqueeze(1)

    def supervised(self, output: Output, batch: Batch) -> Signal:
        """Return logits [B, 1, C] where an example is labelled."""
        return Signal(output.logits.unsqueeze(1), batch.target[:, :1] != IGNORE)


def _target(example: Example, ids: Mapping[str, int]) -> np.ndarray:
    """Return 1 for every label of an example and 0 for the others, i32 [C]; IGNORE without any."""
    if example.target is None:
        return np.full(len(ids), IGNORE, np.int32)
    target = np.zeros(len(ids), np.int32)
    for label in example.target:
        target[class_id(example, label, ids)] = 1
    return target


def _golds(examples: Sequence[Example]) -> list[frozenset[str]]:
    """List the gold labels of every example."""
    return [frozenset(e.target or ()) for e in examples]


def _given(predictions: Sequence[Prediction]) -> list[frozenset[str]]:
    """List the labels that a model gives to every example."""
    return [frozenset(p.labels) for p in predictions]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of logits, without overflow at either end."""
    chances: np.ndarray = np.exp(-np.logaddexp(0.0, -logits))
    return chances


TASK = MultilabelTask()
