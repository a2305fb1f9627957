"""Deterministic splits by hash and the last checks of every loader.

A split by hash depends on the text alone: it does not change when rows are added, and equal texts
stay together, so that no split holds a copy of another's. Where it would leave a split empty or, in
a small set, without a label, `_repair.py` moves what is needed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from destila.datasets._repair import repair_splits, unit_labels
from destila.errors import DataError
from destila.plugins import nearest
from destila.types import Dataset, Example

LONGEST_LABEL = 60
"""Characters; labels that are longer on average are texts."""


def position(key: str) -> float:
    """Return a number in [0, 1) that depends on a string alone."""
    # Not Python's own hash, which changes from process to process.
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_by_hash(
    examples: Sequence[Example],
    shares: Mapping[str, float],
    key: Callable[[Example], str] = lambda e: e.text,
) -> dict[str, list[Example]]:
    """Divide examples among named splits in about these shares; equal keys go together."""
    total = sum(shares.values())
    ends = list(zip(shares, accumulate(shares.values()), strict=True))
    last = ends[-1][0]  # rounding may leave its end a little below the total

    # By hash, so that a row keeps its split when others are added.
    splits: dict[str, list[Example]] = {name: [] for name in shares}
    for example in examples:
        # The split whose part of [0, total) the place lies in.
        place = position(key(example)) * total
        splits[next((name for name, end in ends if place < end), last)].append(example)
    return splits


def fill_splits(
    splits: dict[str, list[Example]],
    where: str,
    notes: Counter[str],
    key: Callable[[Example], str] = lambda e: e.text,
) -> dict[str, list[Example]]:
    """Return train, dev and test: what is missing is cut out of train by hash, a tenth each.

    Args:
        splits: train, and what else there is.
        where: what messages call the data.
        notes: what was moved is counted into it.
        key: of an example; equal keys go together.

    Raises:
        DataError: a part would stay empty.
    """
    # A tenth of train for each split that is missing.
    missing = [name for name in ("dev", "test") if name not in splits]
    if missing:
        shares = {"train": 1 - 0.1 * len(missing)} | dict.fromkeys(missing, 0.1)
        cut = split_by_hash(splits["train"], shares, key)
        if len({key(example) for example in splits["train"]}) < len(shares):
            raise DataError(
                f"{where}: fewer than {len(shares)} different texts or groups, so that a split "
                "would be empty; give more rows, or a file of its own for each split"
            )
        moved = repair_splits(splits["train"], cut, key, position)
        notes["examples moved so that each split has each label where it can"] += moved
        splits = splits | cut

    # An empty split would fail much later, without a reason.
    for name in ("train", "dev", "test"):
        if not splits[name]:
            raise DataError(
                f"{where}: the {name} split is empty; give more rows, or a file of its own for "
                "each split"
            )
    return {name: splits[name] for name in ("train", "dev", "test")}


def check_labels(labels: Sequence[str], where: str, option: str) -> None:
    """Raise DataError for labels that look like text: long, or more than half of them distinct.

    Args:
        labels: of all examples.
        where: what the message calls the column.
        option: the option that names the column, for the message.
    """
    # Text is long or never the same; a few distinct labels are fine in a small file.
    distinct = len(set(labels))
    mean = sum(map(len, labels)) / max(len(labels), 1)
    where_said = (
        "--label, or data.label in the recipe"
        if option == "label"
        else f"data.{option} in the recipe"
    )
    if mean > LONGEST_LABEL or (distinct > len(labels) / 2 and distinct > 3):
        raise DataError(
            f"{where}: this does not look like labels ({distinct} different ones among "
            f"{len(labels)}, {mean:.0f} characters on average): give the column of "
            f"the label ({where_said})"
        )

    # One label would give a model that always says the same.
    if distinct < 2:
        raise DataError(
            f"{where}: every label is '{''.join(set(labels))}': there is nothing to tell apart"
        )


def finish(
    name: str,
    task: str,
    labels: Sequence[str] | None,
    splits: Mapping[str, Sequence[Example]],
    notes: Mapping[str, int],
) -> Dataset:
    """Make the data set, with notes that are not zero.

    Args:
        name: of the data set.
        task: its task's name.
        labels: in the published order; None takes the sorted labels of train.
        splits: examples of each split.
        notes: what was dropped or repaired, counted.

    Raises:
        DataError: a label is not among `labels`, with the split and the example.
    """
    known = tuple(labels) if labels is not None else tuple(sorted(count_labels(splits["train"])))

    # A label that no model can learn is refused before anything is trained.
    allowed = set(known)
    for split, examples in splits.items():
        for example in examples:
            unknown = next((label for label in unit_labels(example) if label not in allowed), None)
            if unknown is not None:
                raise DataError(
                    f"{name}: label '{unknown}' of {split} example {example.id} is not a label of "
                    f"train.{nearest(unknown, list(known))} Repair the row, or add such examples "
                    "to train."
                )
    return Dataset(name, task, known, splits, {what: n for what, n in notes.items() if n})


def count_labels(examples: Sequence[Example]) -> Counter[str]:
    """Count how often each label occurs."""
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(unit_labels(example))
    return counts
