"""Scores of predictions: ratios 0-1 under fixed keys, from label names alone.

Entity F1 is the CoNLL-2002 one (conlleval, seqeval's default mode): an entity counts when type, start and end
all agree, and a stray `I-` opens an entity. The papers' POS "F1" is the same counting on tags without a prefix,
where the first letter acts as the prefix (`NOUN` -> `N` + `OUN`) and equal neighbours merge; here it is
`chunk_f1`, apart from the word accuracy `pos_accuracy`, because the two are not comparable.

Expected calibration error: Guo et al. 2017, equation 3, 15 bins of equal width on the top class.
Matthews correlation for many classes: Gorodkin 2004, equation 8.

Every main score is also a function of additive counts per example (`items`), so that a bootstrap can resample
examples without the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from destila.errors import ConfigError, DataError

Labels = Sequence[str] | Sequence[Sequence[str]]
"""One label per example, or one sequence of labels per example."""

BINS = 15
OUTSIDE = "O"


def main_score(task: str, labels: Sequence[str]) -> str:
    """The key of a task's main score: accuracy, entity_f1 (BIO labels), pos_accuracy or f1; raises ConfigError."""
    if task == "classify":
        return "accuracy"
    if task == "tag":
        return "entity_f1" if is_bio(labels) else "pos_accuracy"
    if task == "span":
        return "f1"
    raise ConfigError(f"no main score is known for task '{task}': known are classify, tag, span")


def is_bio(labels: Sequence[str]) -> bool:
    """True when every label is `O`, `B-...` or `I-...` and at least one is not `O`."""
    spans = [label for label in labels if label != OUTSIDE]
    return bool(spans) and all(label.startswith(("B-", "I-")) and len(label) > 2 for label in spans)


def classification(
    gold: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray | None = None,
) -> dict[str, float]:
    """Accuracy, macro_f1, mcc and, with probabilities [N, C] in the order of `labels`, ece.

    Raises DataError when there is nothing to score, lengths differ or a label is unknown.
    """
    table = _table(labels, gold, predicted)
    scores = {
        "accuracy": float(np.trace(table) / table.sum()),
        "macro_f1": _macro_f1(table),
        "mcc": _mcc(table),
    }
    if probabilities is not None:
        scores["ece"] = ece(gold, labels, probabilities)
    return scores


def tagging(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    labels: Sequence[str],
    probabilities: np.ndarray | None = None,
) -> dict[str, float]:
    """Word accuracy; entity_f1, entity_precision, entity_recall for BIO labels, else pos_accuracy, chunk_f1.

    probabilities: [words of all examples, C] adds ece over words. Raises DataError as `classification` does.
    """
    flat_gold, flat_predicted = _paired(gold, predicted)
    accuracy = _share_equal(flat_gold, flat_predicted)
    if is_bio(labels):
        counts = np.sum(items("tag", labels, gold, predicted), axis=0)
        precision, recall, f1 = _prf(*counts.tolist())
        scores = {
            "entity_f1": f1,
            "entity_precision": precision,
            "entity_recall": recall,
            "accuracy": accuracy,
        }
    else:
        scores = {
            "pos_accuracy": accuracy,
            "chunk_f1": chunk_f1(gold, predicted),
            "accuracy": accuracy,
        }
    if probabilities is not None:
        scores["ece"] = ece(flat_gold, labels, probabilities)
    return scores


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Entities of one sentence as (type, start, end), end exclusive, in order; seqeval's default reading.

    `I-X` after `O` or after another type opens an entity; `B-` always opens one.
    """
    found = []
    before, kind_before, start = OUTSIDE, "", 0
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = _split(tag)
        if _ends(before, kind_before, prefix, kind):
            found.append((kind_before, start, position))
        if _starts(before, kind_before, prefix, kind):
            start = position
        before, kind_before = prefix, kind
    return found


def chunk_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """The papers' POS "F1": micro F1 of seqeval's chunks over tags without a prefix.

    All sentences are read as one sequence with an `O` after each, as seqeval does: a tag of one letter, or `_`,
    has the same type as that `O` and so chunks of it depend on the neighbouring sentence.
    """
    _paired(gold, predicted)
    ours, theirs = (
        Counter(entities([t for s in side for t in [*s, OUTSIDE]])) for side in (predicted, gold)
    )
    return _prf((ours & theirs).total(), ours.total(), theirs.total())[2]


def ece(gold: Sequence[str], labels: Sequence[str], probabilities: np.ndarray) -> float:
    """Expected calibration error of probabilities [N, C]: mean gap of confidence and accuracy, bins by size."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (len(gold), len(labels)):
        raise DataError(
            f"probabilities have shape {probabilities.shape}, expected {(len(gold), len(labels))}: one row per label"
        )
    confidence = probabilities.max(axis=1)
    right = np.array([labels[best] for best in probabilities.argmax(axis=1)]) == np.asarray(gold)
    bins = np.clip(
        np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1
    )  # a bin holds its upper edge
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(gold))


def per_label(
    task: str, labels: Sequence[str], gold: Labels, predicted: Labels
) -> dict[str, dict[str, float]]:
    """Precision, recall, f1 and support of every label, or of every entity type when labels are BIO."""
    if main_score(task, labels) == "entity_f1":
        kinds = list(dict.fromkeys(_split(label)[1] for label in labels if label != OUTSIDE))
        found: dict[str, Counter[str]] = {name: Counter() for name in ("tp", "predicted", "gold")}
        for tags, guess in zip(gold, predicted, strict=True):
            theirs, ours = set(entities(tags)), set(entities(guess))
            for name, group in (("tp", theirs & ours), ("predicted", ours), ("gold", theirs)):
                found[name].update(kind for kind, _, _ in group)
        rows = {
            kind: (found["tp"][kind], found["predicted"][kind], found["gold"][kind])
            for kind in kinds
        }
    else:
        table = _table(labels, *_paired(gold, predicted))
        columns = zip(
            table.diagonal().tolist(), table.sum(0).tolist(), table.sum(1).tolist(), strict=True
        )
        rows = dict(zip(labels, columns, strict=True))
    names = ("precision", "recall", "f1")
    return {
        label: {**dict(zip(names, _prf(*row), strict=True)), "support": float(row[2])}
        for label, row in rows.items()
    }


def confusion(labels: Sequence[str], gold: Labels, predicted: Labels) -> list[list[int]]:
    """Counts [gold label][predicted label] in the order of `labels`, over examples or words."""
    counts: list[list[int]] = _table(labels, *_paired(gold, predicted)).tolist()
    return counts


def tables(task: str, labels: Sequence[str], gold: Labels, predicted: Labels) -> dict[str, Any]:
    """The tables of a report: per_label, confusion, and the labels that name its rows."""
    found = {
        "per_label": per_label(task, labels, gold, predicted),
        "confusion": confusion(labels, gold, predicted),
    }
    return {"labels": list(labels), **found}


def agreement(a: Labels, b: Labels) -> float:
    """Share of units (examples or words) to which two models give the same label."""
    return _share_equal(*_paired(a, b))


def items(task: str, labels: Sequence[str], gold: Labels, predicted: Labels) -> list[list[int]]:
    """Additive counts per example behind the main score: [right, all], or [true positives, predicted, gold]."""
    main = main_score(task, labels)
    _paired(gold, predicted)
    if main == "accuracy":
        return [[int(a == b), 1] for a, b in zip(gold, predicted, strict=True)]
    if main == "pos_accuracy":
        return [
            [sum(a == b for a, b in zip(g, p, strict=True)), len(g)]
            for g, p in zip(gold, predicted, strict=True)
        ]
    counts = []
    for tags, guess in zip(gold, predicted, strict=True):
        theirs, ours = set(entities(tags)), set(entities(guess))
        counts.append([len(theirs & ours), len(ours), len(theirs)])
    return counts


def score_of_items(main: str, counts: Sequence[float] | np.ndarray) -> float:
    """The main score of counts summed over examples; 0 where it is undefined."""
    return float(scores_of_items(main, np.asarray(counts, dtype=np.float64)))


def scores_of_items(main: str, counts: np.ndarray) -> np.ndarray:
    """The main score of each row of summed counts [..., K]; raises ConfigError for a score without counts."""
    if main in ("accuracy", "pos_accuracy", "f1"):
        top, bottom = counts[..., 0], counts[..., 1]
    elif main == "entity_f1":
        top, bottom = 2 * counts[..., 0], counts[..., 1] + counts[..., 2]
    else:
        raise ConfigError(
            f"score '{main}' has no additive counts: use accuracy, pos_accuracy or entity_f1"
        )
    result: np.ndarray = np.divide(
        top, bottom, out=np.zeros(np.shape(top)), where=np.asarray(bottom) > 0
    )
    return result


def _split(tag: str) -> tuple[str, str]:
    """`B-PER` -> (B, PER); `NOUN` -> (N, OUN); a bare letter has the type `_`."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


def _ends(before: str, kind_before: str, prefix: str, kind: str) -> bool:
    if before in "ES":
        return True
    if before in "BI" and prefix in "BSO":
        return True
    return before not in "O." and kind_before != kind


def _starts(before: str, kind_before: str, prefix: str, kind: str) -> bool:
    if prefix in "BS":
        return True
    if before in "ESO" and prefix in "EI":
        return True
    return prefix not in "O." and kind_before != kind


def _prf(true_positives: float, predicted: float, gold: float) -> tuple[float, float, float]:
    precision = true_positives / predicted if predicted else 0.0
    recall = true_positives / gold if gold else 0.0
    return precision, recall, 2 * true_positives / (predicted + gold) if predicted + gold else 0.0


def _paired(gold: Labels, predicted: Labels) -> tuple[list[str], list[str]]:
    """Both sides as flat lists of unit labels; raises DataError when they do not line up or hold nothing."""
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(predicted)} predictions for {len(gold)} labelled examples: give one for each"
        )
    for row, (a, b) in enumerate(zip(gold, predicted, strict=True)):
        if not isinstance(a, str) and len(a) != len(b):
            raise DataError(f"example {row}: {len(b)} predicted labels for {len(a)} words")
    flat = _flat(gold), _flat(predicted)
    if not flat[0]:
        raise DataError("nothing to score: there is no labelled example")
    return flat


def _flat(side: Iterable[Any]) -> list[str]:
    return [label for row in side for label in ([row] if isinstance(row, str) else row)]


def _share_equal(a: Sequence[str], b: Sequence[str]) -> float:
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def _table(labels: Sequence[str], gold: Sequence[str], predicted: Sequence[str]) -> np.ndarray:
    """Confusion counts i64 [C, C], gold in rows."""
    gold, predicted = _paired(gold, predicted)
    index = {label: i for i, label in enumerate(labels)}
    unknown = sorted({label for label in (*gold, *predicted) if label not in index})
    if unknown:
        raise DataError(
            f"label '{unknown[0]}' is not one of the {len(labels)} labels {', '.join(labels)}"
        )
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, ([index[g] for g in gold], [index[p] for p in predicted]), 1)
    return table


def _macro_f1(table: np.ndarray) -> float:
    """Mean F1 over the labels that occur on either side (as scikit-learn counts them)."""
    sizes = table.sum(0) + table.sum(1)
    return float(np.mean(2 * table.diagonal()[sizes > 0] / sizes[sizes > 0]))


def _mcc(table: np.ndarray) -> float:
    """Matthews correlation; 0 when either side has one label only."""
    counts = table.astype(np.float64)
    total, right, guesses, truths = counts.sum(), np.trace(counts), counts.sum(0), counts.sum(1)
    spread = (total**2 - guesses @ guesses) * (total**2 - truths @ truths)
    return float((right * total - guesses @ truths) / np.sqrt(spread)) if spread > 0 else 0.0
