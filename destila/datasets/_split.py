"""Deterministic splits by hash and the last checks of every loader.

A split by hash depends on the text alone: it does not change when rows are added, and equal texts stay
together, so that no split holds a copy of another's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from destila.errors import DataError
from destila.plugins import nearest
from destila.types import Dataset, Example

LONGEST_LABEL = 60
"""Characters; labels that are longer on average are texts."""


def position(key: str) -> float:
    """A number in [0, 1) that depends on the string alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64


def by_hash(
    examples: Sequence[Example],
    shares: Mapping[str, float],
    key: Callable[[Example], str] = lambda e: e.text,
) -> dict[str, list[Example]]:
    """Examples divided among named splits in about these shares; equal keys go together."""
    total = sum(shares.values())
    splits: dict[str, list[Example]] = {name: [] for name in shares}
    for example in examples:
        left = position(key(example)) * total
        ends = zip(shares, accumulate(shares.values()), strict=True)
        # rounding may leave the last end a little below the total
        splits[next((name for name, end in ends if left < end), list(shares)[-1])].append(example)
    return splits


def fill(
    splits: dict[str, list[Example]], where: str, key: Callable[[Example], str] = lambda e: e.text
) -> dict[str, list[Example]]:
    """Train, dev and test: what is not given is cut out of train by hash of `key`, a tenth each.

    Raises DataError when a part would stay empty.
    """
    missing = [name for name in ("dev", "test") if name not in splits]
    if missing:
        shares = {"train": 1 - 0.1 * len(missing)} | dict.fromkeys(missing, 0.1)
        splits = splits | by_hash(splits["train"], shares, key)
    for name in ("train", "dev", "test"):
        if not splits[name]:
            raise DataError(
                f"{where}: the {name} split is empty; give more rows, or a file of its own for each split"
            )
    return {name: splits[name] for name in ("train", "dev", "test")}


def check_labels(labels: Sequence[str], where: str, option: str) -> None:
    """Nothing; raises DataError for labels that look like text: long, or more than half of them distinct.

    option: the option that names the column, for the message.
    """
    distinct = len(set(labels))
    mean = sum(map(len, labels)) / max(len(labels), 1)
    if mean > LONGEST_LABEL or (distinct > len(labels) / 2 and distinct > 3):
        raise DataError(
            f"{where}: this does not look like labels ({distinct} different ones among {len(labels)}, {mean:.0f} characters"
            f" on average): set data.{option} to the column of the label"
        )
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
    """The data set, notes without zeros; labels None = sorted labels of train.

    Raises DataError for a label outside `labels`, with the split and the example.
    """
    known = tuple(labels) if labels is not None else tuple(sorted(counts(splits["train"])))
    allowed = set(known)
    for split, examples in splits.items():
        for example in examples:
            for label in targets(example):
                if label not in allowed:
                    raise DataError(
                        f"{name}: label '{label}' of {split} example {example.id} is not a label of train."
                        f"{nearest(label, list(known))} Repair the row, or add such examples to train."
                    )
    return Dataset(name, task, known, splits, {what: n for what, n in notes.items() if n})


def targets(example: Example) -> tuple[str, ...]:
    """The labels of an example, one per unit."""
    if example.target is None:
        return ()
    return (example.target,) if isinstance(example.target, str) else example.target


def counts(examples: Sequence[Example]) -> Counter[str]:
    """How often each label occurs."""
    return Counter(label for example in examples for label in targets(example))
