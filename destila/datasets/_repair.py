"""Small sets: what a split by hash left empty, or without a label, gets from another split.

Groups of examples move as a whole, always the first in the order of their hashes, so that the
result depends on the texts alone. Larger sets, in which a hash leaves nothing empty, stay as they
are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from destila.types import Example

_SMALL = 1000
"""Examples below which dev and test get every label that has enough groups; above, luck is fair."""


@dataclass(frozen=True)
class _Groups:
    """Groups in the order of their hashes: the split of each, its labels and its examples."""

    place: dict[str, str]
    labels: Mapping[str, frozenset[str]]
    size: Mapping[str, int]

    def of(self, split: str, label: str | None = None) -> list[str]:
        """Return the groups of a split, or those of them that hold a label."""
        return [
            group
            for group, place in self.place.items()
            if place == split and (label is None or label in self.labels[group])
        ]

    def spare(self, label: str | None = None) -> str | None:
        """Return the first group of train, with a label, without which train lacks no label."""
        for group in self.of("train", label):
            if all(len(self.of("train", each)) > 1 for each in self.labels[group]):
                return group
        return None


def repair_splits(
    examples: Sequence[Example],
    splits: dict[str, list[Example]],
    key: Callable[[Example], str],
    position: Callable[[str], float],
) -> int:
    """Move groups until train has every label and no split is empty; change `splits`.

    In a small set, dev and test also get every label of as many groups as there are splits.

    Args:
        examples: all of them, in the order of the file.
        splits: train and what was cut out of it.
        key: of an example; equal keys are a group.
        position: the hash by which groups are in order.

    Returns:
        How many examples were moved.
    """
    held = {name: _labels_of(examples) for name, examples in splits.items()}
    every = set().union(*held.values())
    whole = all(splits.values()) and held["train"] == every
    if whole and (len(examples) >= _SMALL or all(labels == every for labels in held.values())):
        return 0

    groups = _groups_of(splits, key, position)
    before = dict(groups.place)
    others = [name for name in splits if name != "train"]
    _fill(groups, sorted(every), others, small=len(examples) < _SMALL)
    moved = sum(groups.size[g] for g, place in groups.place.items() if place != before[g])

    # Examples keep the order of the file.
    for name in splits:
        splits[name] = [example for example in examples if groups.place[key(example)] == name]
    return moved


def unit_labels(example: Example) -> tuple[str, ...]:
    """Return the labels of an example, one per unit."""
    # A span task has answers instead of labels.
    if example.target is None:
        return ()
    return (example.target,) if isinstance(example.target, str) else example.target


def _fill(groups: _Groups, labels: list[str], others: list[str], *, small: bool) -> None:
    """Move groups until nothing lacks that can be had."""
    # What train lacks, no model can learn.
    for label in labels:
        if not groups.of("train", label):
            holders = [g for split in others for g in groups.of(split, label)]
            groups.place[holders[0]] = "train"

    # The others, from what train has more than once.
    for split in others:
        for label in labels if small else ():
            if not groups.of(split, label) and _count(groups, label) > len(others):
                spare = groups.spare(label)
                if spare is not None:
                    groups.place[spare] = split

        # At worst a group goes whose label train then lacks: an empty split is no split.
        if not groups.of(split):
            groups.place[groups.spare() or groups.of("train")[0]] = split


def _count(groups: _Groups, label: str) -> int:
    """Count the groups that hold a label."""
    return sum(label in labels for labels in groups.labels.values())


def _groups_of(
    splits: Mapping[str, list[Example]],
    key: Callable[[Example], str],
    position: Callable[[str], float],
) -> _Groups:
    """Return the groups of all splits."""
    labels: dict[str, set[str]] = defaultdict(set)
    place: dict[str, str] = {}
    size: dict[str, int] = defaultdict(int)
    for name, examples in splits.items():
        for example in examples:
            group = key(example)
            place[group] = name
            labels[group].update(unit_labels(example))
            size[group] += 1
    ordered = {group: place[group] for group in sorted(place, key=position)}
    return _Groups(ordered, {g: frozenset(each) for g, each in labels.items()}, size)


def _labels_of(examples: list[Example]) -> set[str]:
    """Return the labels of examples."""
    return {label for example in examples for label in unit_labels(example)}
