"""Scores of predictions: ratios 0-1 under fixed keys, from label names alone.

Entity F1 is the CoNLL-2002 one (conlleval, seqeval's default mode): an entity counts when type,
start and end all agree, and a stray `I-` opens an entity. The papers' POS "F1" is the same counting
on tags without a prefix, where the first letter acts as the prefix (`NOUN` -> `N` + `OUN`) and
equal neighbours merge; here it is `chunk_f1`, apart from the word accuracy `pos_accuracy`, because
the two are not comparable.

Expected calibration error: Guo et al. 2017, equation 3, 15 bins of equal width on the top class.
Matthews correlation for many classes: Gorodkin 2004, equation 8.

Every main score is also a function of additive counts per example (`items`), so that an interval
needs no labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from destila.errors import ConfigError, DataError
from destila.tasks.ece import ece

Labels = Sequence[str] | Sequence[Sequence[str]]
"""One label per example, or one sequence of labels per example."""

OUTSIDE = "O"
"""The label of a word that is part of no entity."""


def is_bio(labels: Sequence[str]) -> bool:
    """Tell whether every label is `O`, `B-...` or `I-...` and at least one is not `O`."""
    inside = [label for label in labels if label != OUTSIDE]
    return bool(inside) and all(x.startswith(("B-", "I-")) and len(x) > 2 for x in inside)


def classification(
    gold: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray | None = None,
) -> dict[str, float]:
    """Compute accuracy, macro_f1, mcc and, with probabilities, ece.

    Args:
        gold: one label per example.
        predicted: as many.
        labels: all there are, in the order of the probabilities.
        probabilities: [N, C]; None leaves ece out.

    Raises:
        DataError: there is nothing to score, lengths differ or a label is unknown.
    """
    table = _table(labels, gold, predicted)  # [C, C], gold in rows

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
    """Compute word accuracy, and the scores that the labels call for.

    BIO labels have entity_f1, entity_precision and entity_recall, others pos_accuracy and chunk_f1.

    Args:
        gold: one label per word of each example.
        predicted: as many.
        labels: all there are, in the order of the probabilities.
        probabilities: [words of all examples, C], for ece over words; None leaves it out.

    Raises:
        DataError: as `classification`.
    """
    flat_gold, flat_predicted = _paired(gold, predicted)
    accuracy = _equal(flat_gold, flat_predicted) / len(flat_gold)

    # entities for BIO labels, words and the papers' chunks for others
    if is_bio(labels):
        counts = np.sum(items("entity_f1", gold, predicted), axis=0)
        precision, recall, f1 = _prf(*counts.tolist())
        scores = {"entity_f1": f1, "entity_precision": precision, "entity_recall": recall}
    else:
        scores = {"pos_accuracy": accuracy, "chunk_f1": chunk_f1(gold, predicted)}

    scores["accuracy"] = accuracy
    if probabilities is not None:
        scores["ece"] = ece(flat_gold, labels, probabilities)

    return scores


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """List the entities of one sentence as (type, start, end), end exclusive, in order.

    As seqeval reads by default: `I-X` after `O` or after another type opens an entity; `B-` always
    opens one. Tags B-PER I-PER O B-LOC are [("PER", 0, 2), ("LOC", 3, 4)].
    """
    spans = []
    before, start = "", 0

    # an `O` behind the last word closes what is open
    for position, tag in enumerate([*tags, OUTSIDE]):
        # one entity may end where the next one starts
        ended, starts = _turn(before, tag)
        if ended:
            spans.append((ended, start, position))
        if starts:
            start = position
        before = tag

    return spans


def chunk_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Compute the papers' POS "F1": micro F1 of seqeval's chunks over tags without a prefix.

    All sentences are read as one sequence with an `O` after each, as seqeval does: a tag of one
    letter, or `_`, has the same type as that `O`, so chunks of it depend on the neighbouring
    sentence.
    """
    _paired(gold, predicted)
    wanted, guessed = _chunks(gold), _chunks(predicted)
    return _prf((guessed & wanted).total(), guessed.total(), wanted.total())[2]


def _chunks(sentences: Sequence[Sequence[str]]) -> Counter[tuple[str, int, int]]:
    """Count the chunks of all sentences, read as one sequence."""
    joined: list[str] = []
    for tags in sentences:
        joined += [*tags, OUTSIDE]

    return Counter(entities(joined))


def per_label(
    main: str, labels: Sequence[str], gold: Labels, predicted: Labels
) -> dict[str, dict[str, float]]:
    """Compute precision, recall, f1 and support of every label, or of every entity type.

    Args:
        main: the task's main score; entity_f1 counts entities, any other counts units.
        labels: all there are, in order.
        gold: labels of every example.
        predicted: as many.
    """
    by_entity = main == "entity_f1"
    counts = _by_entity(labels, gold, predicted) if by_entity else _by_unit(labels, gold, predicted)

    names = ("precision", "recall", "f1")
    return {
        label: {**dict(zip(names, _prf(*row), strict=True)), "support": float(row[2])}
        for label, row in counts.items()
    }


def _by_entity(
    labels: Sequence[str], gold: Labels, predicted: Labels
) -> dict[str, tuple[int, int, int]]:
    """Count true positives, predicted and gold entities of every type."""
    true, guessed, wanted = Counter[str](), Counter[str](), Counter[str]()

    # within a sentence an entity is its type and its place
    for tags, guess in zip(gold, predicted, strict=True):
        spans, guessed_spans = set(entities(tags)), set(entities(guess))
        true.update(kind for kind, _, _ in spans & guessed_spans)
        guessed.update(kind for kind, _, _ in guessed_spans)
        wanted.update(kind for kind, _, _ in spans)

    kinds = dict.fromkeys(_split(label)[1] for label in labels if label != OUTSIDE)
    return {kind: (true[kind], guessed[kind], wanted[kind]) for kind in kinds}


def _by_unit(
    labels: Sequence[str], gold: Labels, predicted: Labels
) -> dict[str, tuple[int, int, int]]:
    """Count true positives, predicted and gold units of every label."""
    table = _table(labels, *_paired(gold, predicted))  # [C, C]
    columns = (table.diagonal().tolist(), table.sum(0).tolist(), table.sum(1).tolist())
    return dict(zip(labels, zip(*columns, strict=True), strict=True))


def confusion(labels: Sequence[str], gold: Labels, predicted: Labels) -> list[list[int]]:
    """Count [gold label][predicted label] in the order of `labels`, over examples or words."""
    counts: list[list[int]] = _table(labels, *_paired(gold, predicted)).tolist()
    return counts


def tables(main: str, labels: Sequence[str], gold: Labels, predicted: Labels) -> dict[str, Any]:
    """Make the tables of a report: per_label, confusion, and the labels that name its rows.

    The arguments are those of `per_label`.
    """
    return {
        "labels": list(labels),
        "per_label": per_label(main, labels, gold, predicted),
        "confusion": confusion(labels, gold, predicted),
    }


def agreement(one: Labels, other: Labels) -> float:
    """Compute the share of units (examples or words) to which two models give the same label."""
    flat_one, flat_other = _paired(one, other)
    return _equal(flat_one, flat_other) / len(flat_one)


def items(
    main: str, gold: Labels, predicted: Labels, labels: Sequence[str] = ()
) -> list[list[int]]:
    """Count what is behind a main score in every example, so that counts add up over examples.

    accuracy and pos_accuracy: [right, all]; entity_f1: [true positives, predicted, gold]; macro_f1:
    the same three of every label, [true positives of C labels, predicted, gold].

    Args:
        main: the key of the main score.
        gold: labels of every example.
        predicted: as many.
        labels: all there are, in order; macro_f1 needs them.

    Raises:
        DataError: the two sides do not line up.
    """
    _paired(gold, predicted)

    # right answers and all of them
    pairs = zip(gold, predicted, strict=True)
    if main == "accuracy":
        return [[int(label == guess), 1] for label, guess in pairs]
    if main == "macro_f1":
        return [
            [
                *(int(name == label == guess) for name in labels),
                *(int(name == guess) for name in labels),
                *(int(name == label) for name in labels),
            ]
            for label, guess in pairs
        ]
    if main == "pos_accuracy":
        return [[_equal(tags, guess), len(tags)] for tags, guess in pairs]

    # entities on both sides and on either
    counts = []
    for tags, guess in pairs:
        wanted, guessed = set(entities(tags)), set(entities(guess))
        counts.append([len(wanted & guessed), len(guessed), len(wanted)])
    return counts


def score_of_items(main: str, counts: Sequence[float] | np.ndarray) -> float:
    """Compute the main score of counts summed over examples; 0 where it is undefined."""
    return float(scores_of_items(main, np.asarray(counts, dtype=np.float64)))


def scores_of_items(main: str, counts: np.ndarray) -> np.ndarray:
    """Compute the main score of each row of counts.

    Args:
        main: the key of the main score.
        counts: summed over examples, [..., K].

    Raises:
        ConfigError: the score has no additive counts.
    """
    # accuracy is right / all, F1 is 2 * true / (predicted + gold)
    if main in ("accuracy", "pos_accuracy", "f1"):
        top, bottom = counts[..., 0], counts[..., 1]
    elif main in ("entity_f1", "micro_f1"):
        top, bottom = 2 * counts[..., 0], counts[..., 1] + counts[..., 2]
    elif main == "macro_f1":
        return _macro_of_items(counts)
    else:
        raise ConfigError(
            f"score '{main}' has no additive counts: use accuracy, macro_f1, micro_f1, "
            "pos_accuracy or entity_f1"
        )

    # a score of nothing is 0
    nothing = np.zeros(np.shape(top))
    result: np.ndarray = np.divide(top, bottom, out=nothing, where=np.asarray(bottom) > 0)
    return result


def _macro_of_items(counts: np.ndarray) -> np.ndarray:
    """Average F1 over the labels that occur on either side, from counts [..., 3 * C]."""
    true, predicted, gold = np.split(counts, 3, axis=-1)  # [..., C] each
    sizes = predicted + gold
    f1 = np.divide(2 * true, sizes, out=np.zeros(np.shape(true)), where=sizes > 0)
    result: np.ndarray = f1.sum(axis=-1) / np.maximum(1, (sizes > 0).sum(axis=-1))
    return result


def _split(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and type: `B-PER` is (B, PER), `NOUN` is (N, OUN), `X` (X, _)."""
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


@lru_cache(1 << 14)  # few pairs of tags, met by every word
def _turn(before: str, tag: str) -> tuple[str, bool]:
    """Tell the type of what ends between two tags ("": nothing), and whether something starts.

    A port of seqeval's rules, with E and S.
    """
    old, kind_before = _split(before) if before else (OUTSIDE, "")
    new, kind = _split(tag)
    other = kind_before != kind
    ends = old in "ES" or (old in "BI" and new in "BSO") or (old not in "O." and other)
    starts = new in "BS" or (old in "ESO" and new in "EI") or (new not in "O." and other)
    return kind_before if ends else "", starts


def _prf(true_positives: float, predicted: float, gold: float) -> tuple[float, float, float]:
    """Compute precision, recall and F1 from counts; 0 where one is undefined."""
    precision = true_positives / predicted if predicted else 0.0
    recall = true_positives / gold if gold else 0.0
    f1 = 2 * true_positives / (predicted + gold) if predicted + gold else 0.0
    return precision, recall, f1


def _paired(gold: Labels, predicted: Labels) -> tuple[list[str], list[str]]:
    """Flatten both sides to unit labels; raise DataError when they do not line up or are empty."""
    # as many examples, and in each as many words
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(predicted)} predictions for {len(gold)} labelled examples: give one for each"
        )
    for row, (labels, guess) in enumerate(zip(gold, predicted, strict=True)):
        if not isinstance(labels, str) and len(labels) != len(guess):
            raise DataError(f"example {row}: {len(guess)} predicted labels for {len(labels)} words")

    flat_gold, flat_predicted = _flat(gold), _flat(predicted)
    if not flat_gold:
        raise DataError("nothing to score: there is no labelled example")
    return flat_gold, flat_predicted


def _flat(side: Iterable[Any]) -> list[str]:
    """Put the labels of all units in one list, whether an example has one label or many."""
    flat: list[str] = []
    for row in side:
        flat += [row] if isinstance(row, str) else row
    return flat


def _equal(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the places at which two sequences agree."""
    return sum(a == b for a, b in zip(one, other, strict=True))


def _table(labels: Sequence[str], gold: Sequence[str], predicted: Sequence[str]) -> np.ndarray:
    """Count confusions i64 [C, C], gold in rows; raise DataError for an unknown label."""
    gold, predicted = _paired(gold, predicted)
    index = {label: i for i, label in enumerate(labels)}
    unknown = sorted({label for label in (*gold, *predicted) if label not in index})
    if unknown:
        raise DataError(
            f"label '{unknown[0]}' is not one of the {len(labels)} labels {', '.join(labels)}"
        )

    # `add.at` counts a pair as often as it occurs
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, ([index[label] for label in gold], [index[label] for label in predicted]), 1)
    return table


def _macro_f1(table: np.ndarray) -> float:
    """Average F1 over the labels that occur on either side (as scikit-learn counts them)."""
    sizes = table.sum(0) + table.sum(1)  # [C]
    present = sizes > 0
    return float(np.mean(2 * table.diagonal()[present] / sizes[present]))


def _mcc(table: np.ndarray) -> float:
    """Compute Matthews correlation; 0 when either side has one label only."""
    counts = table.astype(np.float64)
    total, right = counts.sum(), np.trace(counts)
    guesses, truths = counts.sum(0), counts.sum(1)  # [C]

    # the product of both variances, times the fourth power of the total
    spread = (total**2 - guesses @ guesses) * (total**2 - truths @ truths)
    return float((right * total - guesses @ truths) / np.sqrt(spread)) if spread > 0 else 0.0
