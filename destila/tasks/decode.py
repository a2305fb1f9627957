"""Logits per unit -> predictions, and predictions -> the objects that `destila predict` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from destila.tasks.metrics import entities, is_bio
from destila.types import Answer, CharSpan, Example, Prediction


def decode(rows: Sequence[np.ndarray], labels: Sequence[str]) -> list[Prediction]:
    """One Prediction per row of logits [U, C]: softmax over classes, first class among equals."""
    return [_decode(np.asarray(row, np.float32), labels) for row in rows]


def _decode(row: np.ndarray, labels: Sequence[str]) -> Prediction:
    if not len(row):
        return Prediction((), np.zeros((0, len(labels)), np.float32))
    shifted = np.exp(row - row.max(axis=-1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
    return Prediction(tuple(labels[i] for i in probabilities.argmax(axis=-1)), probabilities)


def labelled_spans(
    words: Sequence[CharSpan], prediction: Prediction, labels: Sequence[str]
) -> list[tuple[CharSpan, str, float]]:
    """(span in the text, label, mean probability) of every entity, or of every word when labels are not BIO."""
    index = {label: i for i, label in enumerate(labels)}
    chosen = [
        float(p[index[label]])
        for p, label in zip(prediction.probabilities, prediction.labels, strict=True)
    ]
    if not is_bio(labels):
        return [
            (span, label, p)
            for span, label, p in zip(words, prediction.labels, chosen, strict=True)
        ]
    found = entities(prediction.labels)
    return [
        ((words[s][0], words[e - 1][1]), kind, sum(chosen[s:e]) / (e - s)) for kind, s, e in found
    ]


def as_json(
    example: Example, prediction: Prediction, labels: Sequence[str], task: str
) -> dict[str, Any]:
    """The documented object of one prediction; offsets are code points of the example's text, or of its context."""
    if isinstance(prediction, Answer):
        place = {"answer": prediction.labels[0], "start": prediction.start, "end": prediction.end}
        sure = {
            "probability": prediction.probability,
            "null_probability": prediction.null_probability,
        }
        return {"id": example.id, **place, **{name: round(p, 6) for name, p in sure.items()}}
    if task == "tag":
        spans = [
            {
                "start": s,
                "end": e,
                "label": label,
                "text": example.text[s:e],
                "probability": round(p, 6),
            }
            for (s, e), label, p in labelled_spans(example.words, prediction, labels)
        ]
        return {"id": example.id, "text": example.text, "spans": spans}
    probabilities = {
        label: round(float(p), 6)
        for label, p in zip(labels, prediction.probabilities[0], strict=True)
    }
    out: dict[str, Any] = {"id": example.id, "text": example.text}
    if example.pair is not None:
        out["pair"] = example.pair
    return {**out, "label": prediction.labels[0], "probabilities": probabilities}
