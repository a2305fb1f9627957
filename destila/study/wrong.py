"""The worst mistakes of a model, for a person to look at: wrong, and sure of it.

They are kept beside the predictions and not in records, since texts have licences of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from destila.files import write_text
from destila.types import Example, Prediction

_MOST = 20
"""Examples that are kept."""

_LETTERS = 300
"""Characters of a text that are kept."""


def write_wrong(
    path: Path,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    labels: Sequence[str],
) -> None:
    """Write the most wrong examples as JSON lines, the worst first.

    A line has `id`, `text` (and `pair`), both cut to 300 characters, `gold`, `predicted` and
    `probability`, of what was predicted. Of words with tags it has `words` instead of the labels of
    all: those that are wrong, each `[word, gold, predicted]`; `probability` is then of the worst.

    Args:
        path: of the file.
        examples: of a split.
        predictions: as many.
        labels: in the order of the probabilities.
    """
    rows = [_mistake(e, p, labels) for e, p in zip(examples, predictions, strict=True)]
    wrong = sorted((row for row in rows if row), key=lambda row: -row["probability"])[:_MOST]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in wrong))


def _mistake(
    example: Example, prediction: Prediction, labels: Sequence[str]
) -> dict[str, Any] | None:
    """Return what is wrong about a prediction; None where it is right, or nobody knows."""
    row: dict[str, Any] = {"id": example.id, "text": _cut(example.text)}
    if example.pair is not None:
        row["pair"] = _cut(example.pair)

    # A question: right is any of its answers.
    if example.answers is not None:
        golds = [(example.pair or "")[start:end] for start, end in example.answers]
        given = prediction.labels[0]
        if given in golds or (not golds and not given):
            return None
        sure = float(getattr(prediction, "probability", 0.0))
        return {**row, "gold": golds, "predicted": given, "probability": round(sure, 4)}

    # Words with tags: those that are wrong.
    if example.words and example.target is not None and not isinstance(example.target, str):
        return _wrong_words(row, example, prediction, labels)

    if example.target is None or _as_tuple(example.target) == prediction.labels:
        return None
    sure = round(float(prediction.probabilities.max()), 4)
    gold, predicted = _shown(_as_tuple(example.target)), _shown(prediction.labels)
    return {**row, "gold": gold, "predicted": predicted, "probability": sure}


def _wrong_words(
    row: dict[str, Any], example: Example, prediction: Prediction, labels: Sequence[str]
) -> dict[str, Any] | None:
    """Return the words of an example that have a wrong tag; None where all are right."""
    columns = {label: i for i, label in enumerate(labels)}
    words, sure = [], 0.0
    pairs = zip(_as_tuple(example.target), prediction.labels, strict=True)
    for i, (gold, given) in enumerate(pairs):
        if gold == given:
            continue
        start, end = example.words[i]
        words.append([example.text[start:end], gold, given])
        sure = max(sure, float(prediction.probabilities[i, columns[given]]))
    return {**row, "words": words, "probability": round(sure, 4)} if words else None


def _as_tuple(target: Any) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target or ())


def _shown(labels: tuple[str, ...]) -> str | list[str]:
    """Return the one label of an example as it is, several as a list."""
    return labels[0] if len(labels) == 1 else list(labels)


def _cut(text: str) -> str:
    """Return the beginning of a text, with an ellipsis where something is left out."""
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
