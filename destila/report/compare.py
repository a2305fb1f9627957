"""Differences that a report states: distilling against fine-tuning, and everything against the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.errors import DataError
from destila.records import Record
from destila.report.bootstrap import paired_difference
from destila.report.rows import Row


@dataclass(frozen=True, slots=True)
class Difference:
    """The main score of `a` minus that of `b`, as ratios.

    low, high: 95 % paired-bootstrap interval over test items and seeds; None where a record has no items.
    seeds: how many entered on each side.
    """

    a: Row
    b: Row
    mean: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def reading(self) -> str:
        """The interval in words: gain, loss, no difference shown, or no interval."""
        if self.low is None or self.high is None:
            return "no interval"
        return "gain" if self.low > 0 else "loss" if self.high < 0 else "no difference shown"


def gains(rows: Sequence[Row]) -> list[Difference]:
    """Distilled minus fine-tuned, for every student that is there in both roles, on the seeds both have."""
    finetuned = {row.model: row for row in rows if row.role == "finetuned"}
    pairs = [
        (row, finetuned[row.model])
        for row in rows
        if row.role == "distilled" and row.model in finetuned
    ]
    return [difference(a, b, same_seeds=True) for a, b in pairs]


def against(rows: Sequence[Row], model: str) -> list[Difference]:
    """Every other student minus the student of that name, distilled where it is there in two roles, on common seeds.

    Raises DataError when there is none.
    """
    students = [row for row in rows if row.role in ("distilled", "finetuned")]
    named = sorted((row for row in students if row.model == model), key=lambda row: row.role)
    if not named:
        known = ", ".join(dict.fromkeys(row.model for row in students)) or "none"
        raise DataError(f"no student '{model}' in these records: there are {known}")
    return [difference(row, named[0], same_seeds=True) for row in students if row is not named[0]]


def against_baseline(rows: Sequence[Row]) -> list[Difference]:
    """For every baseline: the best student (distilled or fine-tuned) minus the baseline; empty without students."""
    students = [row for row in rows if row.role in ("distilled", "finetuned")]
    best = max(students, key=lambda row: row.main, default=None)
    return [difference(best, row) for row in rows if row.role == "baseline"] if best else []


def difference(a: Row, b: Row, *, same_seeds: bool = False) -> Difference:
    """The difference of two rows; same_seeds keeps to the seeds that both have, when there is one."""
    common = set(a.seeds) & set(b.seeds) if same_seeds else set()
    ours, theirs = ([r for r in side.records if not common or r.seed in common] for side in (a, b))
    seeds = (len(ours), len(theirs))
    if not all(record.items for record in (*ours, *theirs)):
        return Difference(a, b, _mean(ours) - _mean(theirs), None, None, seeds)
    items = [[record.items for record in side] for side in (ours, theirs)]
    mean, low, high = paired_difference(items[0], items[1], a.first.main)
    return Difference(a, b, mean, low, high, seeds)


def _mean(records: Sequence[Record]) -> float:
    return sum(record.scores[record.main] for record in records) / len(records)
