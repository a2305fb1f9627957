"""Scores of several labels per example: ratios 0-1 under fixed keys, from sets of label names.

Micro F1 counts all decisions together, macro F1 is the mean over the labels that occur on either
side, as scikit-learn counts them; an example of which nothing is said, rightly, counts for neither.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from destila.errors import DataError
from destila.tasks.metrics import score_of_items

LabelSets = Sequence[Set[str]]
"""The labels of every example."""


def multilabel(gold: LabelSets, given: LabelSets, labels: Sequence[str]) -> dict[str, float]:
    """Compute micro_f1, macro_f1 and exact_match, the share of examples with every label right.

    Raises:
        DataError: there is nothing to score, or a label is unknown.
    """
    if not gold:
        raise DataError("nothing to score: there is no labelled example")
    unknown = sorted({label for each in (*gold, *given) for label in each} - set(labels))
    if unknown:
        raise DataError(
            f"label '{unknown[0]}' is not one of the {len(labels)} labels {', '.join(labels)}"
        )

    scores = {
        main: score_of_items(main, np.sum(label_items(main, gold, given, labels), axis=0))
        for main in ("micro_f1", "macro_f1")
    }
    equal = sum(one == other for one, other in zip(gold, given, strict=True))
    return {**scores, "exact_match": equal / len(gold)}


def label_items(
    main: str, gold: LabelSets, given: LabelSets, labels: Sequence[str]
) -> list[list[int]]:
    """Count what is behind a main score in every example, so that counts add up over examples.

    micro_f1: [true positives, given, gold]; macro_f1: the same for every label, as
    `metrics.items` does.
    """
    pairs = list(zip(gold, given, strict=True))
    if main == "micro_f1":
        return [[len(one & other), len(other), len(one)] for one, other in pairs]
    return [
        [
            *(int(name in one and name in other) for name in labels),
            *(int(name in other) for name in labels),
            *(int(name in one) for name in labels),
        ]
        for one, other in pairs
    ]


def label_table(
    gold: LabelSets, given: LabelSets, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Compute precision, recall, f1 and support of every label."""
    counts = np.sum(label_items("macro_f1", gold, given, labels), axis=0).reshape(3, -1)
    table = {}
    for label, (true, guessed, wanted) in zip(labels, counts.T.tolist(), strict=True):
        table[label] = {
            "precision": true / guessed if guessed else 0.0,
            "recall": true / wanted if wanted else 0.0,
            "f1": 2 * true / (guessed + wanted) if guessed + wanted else 0.0,
            "support": float(wanted),
        }
    return table
