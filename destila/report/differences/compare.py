"""Differences that a report states: distilling against fine-tuning, all against the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from destila.errors import DataError
from destila.records import Record
from destila.report.differences.intervals import paired_difference
from destila.report.rows import ReportRow


@dataclass(frozen=True, slots=True)
class Difference:
    """The main score of `a` minus that of `b`, as ratios.

    low, high: 95 % interval over test items and seeds; None where a record has no items.
    seeds: how many entered on each side.
    """

    a: ReportRow
    b: ReportRow
    mean: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def reading(self) -> str:
        """The interval in words: gain, loss, no difference shown, or no interval."""
        if self.low is None or self.high is None:
            return "no interval"

        # An interval that holds 0 shows neither a gain nor a loss.
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "no difference shown"


def gains(rows: Sequence[ReportRow]) -> list[Difference]:
    """Compare distilling with fine-tuning, for every student that is there in both roles.

    Only seeds that both have are compared.
    """
    # A model's two roles differ in nothing but the teacher, so the difference is its gain.
    pairs = [(row, twin_of(row, rows)) for row in rows]
    return [row_difference(row, twin, same_seeds=True) for row, twin in pairs if twin is not None]


def twin_of(row: ReportRow, rows: Sequence[ReportRow]) -> ReportRow | None:
    """Return the same student fine-tuned without a teacher; None for what was not distilled.

    Args:
        row: of a model.
        rows: of its study.
    """
    if row.role != "distilled":
        return None
    finetuned = [other for other in rows if other.role == "finetuned"]
    named = [other for other in finetuned if other.model == row.model]

    # With `compare = false` it is another student's, of the same weights and layers.
    start = _start(row)
    alike = [other for other in finetuned if start and _start(other) == start]
    return next(iter(named + alike), None)


def _start(row: ReportRow) -> dict[str, Any]:
    """Return what a student is before it is trained, as its record's table says."""
    table = row.first.config.get("model", {})
    return {key: value for key, value in table.items() if key not in ("name", "train")}


def against(rows: Sequence[ReportRow], model: str) -> list[Difference]:
    """Compare every other student with the student of a name, on common seeds.

    A student that is there in two roles is taken distilled.

    Raises:
        DataError: there is no student of that name.
    """
    students = [row for row in rows if row.role in ("distilled", "finetuned")]

    # By role, "distilled" comes before "finetuned".
    named = sorted((row for row in students if row.model == model), key=lambda row: row.role)
    if not named:
        known = ", ".join(dict.fromkeys(row.model for row in students)) or "none"
        raise DataError(f"no student '{model}' in these records: there are {known}")

    others = [row for row in students if row is not named[0]]
    return [row_difference(row, named[0], same_seeds=True) for row in others]


def against_baseline(rows: Sequence[ReportRow]) -> list[Difference]:
    """Compare the best student (distilled or fine-tuned) with the best baseline; [] without one.

    Whoever beats that one beats the others too, and whoever does not has to know no more.
    """
    # One student is enough: the question is whether any beats what costs nothing.
    students = [row for row in rows if row.role in ("distilled", "finetuned")]
    best = max(students, key=lambda row: row.main, default=None)
    baselines = [row for row in rows if row.role == "baseline"]
    if best is None or not baselines:
        return []
    return [row_difference(best, max(baselines, key=lambda row: row.main))]


def row_difference(a: ReportRow, b: ReportRow, *, same_seeds: bool = False) -> Difference:
    """Compare two rows.

    Args:
        a: one row.
        b: the row that is subtracted.
        same_seeds: keep to the seeds that both have, when there is one.
    """
    # Common seeds share what is random in training; without any, all of them count.
    common = set(a.seeds) & set(b.seeds) if same_seeds else set()
    records_a = [record for record in a.records if not common or record.seed in common]
    records_b = [record for record in b.records if not common or record.seed in common]
    seeds = (len(records_a), len(records_b))

    # Records of an older form have no counts per item: a difference then has no interval.
    if not all(record.items for record in (*records_a, *records_b)):
        return Difference(a, b, _mean(records_a) - _mean(records_b), None, None, seeds)

    mean, low, high = paired_difference(
        [record.items for record in records_a],
        [record.items for record in records_b],
        a.first.main,
    )
    return Difference(a, b, mean, low, high, seeds)


def _mean(records: Sequence[Record]) -> float:
    """Average the main score."""
    return sum(record.scores[record.main] for record in records) / len(records)
