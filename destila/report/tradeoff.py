"""The trade-off of a study: its models as points on three axes of cost, and the measures of `docs/reference/tradeoff.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.measuring.latency import PAPERS, REAL
from destila.report import pareto
from destila.report.pareto import Point
from destila.report.rows import Row, comparable, protocols, teacher_of

FACTORS = (2, 4, 8, 16)
"""Savings at which the retained score is told."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A row with its point. among: whether it enters the front (baselines and times of other conditions do not)."""

    row: Row
    point: Point
    among: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """One cost: its points, and what the measures say.

    key: "latency", "size" or "macs". above_baseline, above_zero: hypervolumes in score times halvings, None without the
    reference they need (a teacher with this cost; a baseline). baseline: the best baseline's score.
    """

    key: str
    title: str
    unit: str
    points: tuple[Marked, ...]
    teacher: Row | None
    baseline: Row | None
    above_baseline: float | None
    above_zero: float | None

    @property
    def among(self) -> list[Point]:
        """The points that the front is drawn from."""
        return [marked.point for marked in self.points if marked.among]

    @property
    def front(self) -> list[Point]:
        """The Pareto front, cheapest first."""
        return pareto.front(self.among)

    @property
    def knee(self) -> Point | None:
        """The knee of the front; None when it has none."""
        return pareto.knee(self.among)

    @property
    def reference(self) -> Point | None:
        """The teacher's point; None when it has no such cost."""
        return next((marked.point for marked in self.points if marked.row is self.teacher), None)

    def retained_at(self, factor: float) -> float | None:
        """The best share of the teacher's score at a saving of `factor`; None without one."""
        return pareto.retained_at(self.among, self.reference, factor) if self.reference else None


def axes(rows: Sequence[Row]) -> list[Axis]:
    """Latency, size and MACs of a study, those that any encoder has; [] without encoders."""
    protocol = protocol_of(rows)
    found = [
        _axis(
            rows, "latency", f"latency, {protocol}", "ms", [_latency(row, protocol) for row in rows]
        ),
        _axis(
            rows, "size", "size on disk", "MB", [row.first.size_bytes / 1e6 or None for row in rows]
        ),
        _axis(rows, "macs", "MACs at 512 tokens", "GMACs", [_macs(row) for row in rows]),
    ]
    return [axis for axis in found if axis.among]


def protocol_of(rows: Sequence[Row]) -> str:
    """The protocol that latencies are compared by: real texts, else the papers'."""
    return PAPERS if REAL not in protocols(rows) and PAPERS in protocols(rows) else REAL


def name_of(row: Row) -> str:
    """A row's name: model and role."""
    return f"{row.model} ({row.role})"


def best_baseline(rows: Sequence[Row]) -> Row | None:
    """The best baseline; None without any."""
    return max(
        (row for row in rows if row.role == "baseline"), key=lambda row: row.main, default=None
    )


def _axis(
    rows: Sequence[Row], key: str, title: str, unit: str, costs: Sequence[float | None]
) -> Axis:
    teacher, baseline = teacher_of(rows), best_baseline(rows)
    marked = tuple(
        Marked(row, Point(name_of(row), row.main, cost), _enters(row, teacher, key, rows))
        for row, cost in zip(rows, costs, strict=True)
        if cost is not None
    )
    among = [m.point for m in marked if m.among]
    ceiling = next((m.point.cost for m in marked if m.row is teacher), None)
    above = [
        pareto.hypervolume(among, score=score, cost=ceiling)
        if ceiling is not None and score is not None
        else None
        for score in (baseline.main if baseline else None, 0.0)
    ]
    return Axis(key, title, unit, marked, teacher, baseline, *above)


def _enters(row: Row, teacher: Row | None, key: str, rows: Sequence[Row]) -> bool:
    if row.role == "baseline":
        return False
    if key != "latency" or teacher is None:
        return True
    protocol = protocol_of(rows)
    ours, theirs = row.latency(protocol), teacher.latency(protocol)
    return ours is not None and (theirs is None or comparable(ours.conditions, theirs.conditions))


def _latency(row: Row, protocol: str) -> float | None:
    latency = row.latency(protocol)
    return latency.median_ms if latency else None


def _macs(row: Row) -> float | None:
    found = row.first.macs.get("total_512", 0)
    return found / 1e9 or None
