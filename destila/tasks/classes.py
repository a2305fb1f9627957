"""What tasks of classes share: ids of labels, predictions, and the loss of gold labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from destila.errors import DataError, TokenizerError
from destila.plugins import nearest
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import IGNORE, Example, Prediction

CHUNK = 4096
"""Examples tokenised at once: bounds memory and keeps the tokenizer's threads busy."""


def check_length(tokenizer: Tokenizer, max_length: int) -> None:
    """Raise TokenizerError for a window longer than what the tokenizer's model was made for."""
    # some tokenizers do not say what their model holds
    if tokenizer.max_length and max_length > tokenizer.max_length:
        raise TokenizerError(
            f"max_length = {max_length} but {tokenizer.source} holds at most {tokenizer.max_length}"
            " tokens: lower max_length"
        )


def class_id(example: Example, label: object, ids: Mapping[str, int]) -> int:
    """Look up the class of a label, IGNORE for None; raise DataError for an unknown label."""
    if label is None:
        return IGNORE

    if str(label) not in ids:
        raise DataError(
            f"example '{example.id}' has the label '{label}', which is not one of the model's."
            f"{nearest(str(label), list(ids))}"
        )
    return ids[str(label)]


def best_classes(rows: Sequence[np.ndarray], labels: Sequence[str]) -> list[Prediction]:
    """Make one Prediction per row of logits [U, C]: the most probable class of every unit.

    Args:
        rows: logits of each example.
        labels: names in the order of the logits; among equals the first wins.
    """
    return [_best_classes(np.asarray(row, np.float32), labels) for row in rows]


def _best_classes(row: np.ndarray, labels: Sequence[str]) -> Prediction:
    """Choose the classes of one example, from logits [U, C]."""
    if not len(row):
        return Prediction((), np.zeros((0, len(labels)), np.float32))

    # softmax without the largest logit, which could overflow
    shifted = np.exp(row - row.max(axis=-1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=-1, keepdims=True)  # [U, C]
    best = probabilities.argmax(axis=-1).tolist()
    return Prediction(tuple([labels[i] for i in best]), probabilities)


def gold_loss(
    golds: Sequence[Sequence[Any]], rows: Sequence[np.ndarray], labels: Sequence[str]
) -> float:
    """Compute the mean cross-entropy of gold labels over all units, in nats; 0 without any.

    Args:
        golds: label names of each example's units; an unlabelled example has none and is left out.
        rows: logits [U, C] of each example.
        labels: names in the order of the logits.
    """
    ids = {label: i for i, label in enumerate(labels)}
    total, count = 0.0, 0
    for gold, row in zip(golds, rows, strict=True):
        if not len(gold):
            continue

        # log sum exp minus the gold logit, both without the largest logit
        top = row.max(-1, keepdims=True)  # [U, 1]
        gold_logits = row[np.arange(len(gold)), [ids[name] for name in gold]] - top[:, 0]  # [U]
        total += float((np.log(np.exp(row - top).sum(-1)) - gold_logits).sum())
        count += len(gold)

    return total / max(1, count)
