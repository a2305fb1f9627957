"""The trade-off of a study: its models as points on three axes of cost.

The measures are those of `docs/reference/tradeoff.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.measuring.latency import PAPERS, REAL
from destila.report.drawing import pareto
from destila.report.drawing.pareto import Point
from destila.report.rows import ReportRow, comparable, name_of, protocols, teacher_of

FACTORS = (2, 4, 8, 16)
"""Savings at which the retained score is shown."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A row with its point.

    among: whether it enters the front; baselines and times of other conditions do not.
    """

    row: ReportRow
    point: Point
    among: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """One cost: its points, and what the measures say.

    key: "latency", "size" or "macs". above_baseline, above_zero: hypervolumes in score times
    halvings, None without the reference they need (a teacher with this cost; a baseline).
    baseline: the best baseline.

    Example: `Axis("size", "size on disk", "MB", points, teacher, baseline, 0.42, 1.73)`.
    """

    key: str
    title: str
    unit: str
    points: tuple[Marked, ...]
    teacher: ReportRow | None
    baseline: ReportRow | None
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
        """Return the best share of the teacher's score at such a saving; None without one."""
        return pareto.retained_at(self.among, self.reference, factor) if self.reference else None


def axes(rows: Sequence[ReportRow]) -> list[Axis]:
    """Return latency, size and MACs of a study, those that any encoder has; [] without encoders."""
    protocol = protocol_of(rows)

    # A cost of 0 in a record means that it was not measured.
    times = [_milliseconds(row, protocol) for row in rows]
    sizes = [row.first.size_bytes / 1e6 or None for row in rows]
    macs = [row.first.macs.get("total_512", 0) / 1e9 or None for row in rows]

    every = [
        _axis(rows, "latency", f"latency, {protocol}", "ms", times),
        _axis(rows, "size", "size on disk", "MB", sizes),
        _axis(rows, "macs", "MACs at 512 tokens", "GMACs", macs),
    ]
    return [axis for axis in every if axis.among]


def protocol_of(rows: Sequence[ReportRow]) -> str:
    """Return the protocol that latencies are compared by: real texts, else the papers'."""
    return PAPERS if REAL not in protocols(rows) and PAPERS in protocols(rows) else REAL


def best_baseline(rows: Sequence[ReportRow]) -> ReportRow | None:
    """Return the best baseline; None without any."""
    baselines = [row for row in rows if row.role == "baseline"]
    return max(baselines, key=lambda row: row.main, default=None)


def _axis(
    rows: Sequence[ReportRow], key: str, title: str, unit: str, costs: Sequence[float | None]
) -> Axis:
    """Draw up one axis from the costs of the rows; None where a row has no such cost."""
    # Both are references of the measures below.
    teacher, baseline = teacher_of(rows), best_baseline(rows)
    marked = tuple(
        Marked(row, Point(name_of(row), row.main, cost), _enters(row, teacher, key, rows))
        for row, cost in zip(rows, costs, strict=True)
        if cost is not None
    )

    # Both hypervolumes are measured from the teacher's cost: what is dearer than it saves nothing.
    among = [m.point for m in marked if m.among]
    ceiling = next((m.point.cost for m in marked if m.row is teacher), None)
    above_baseline = above_zero = None
    if ceiling is not None:
        above_zero = pareto.hypervolume(among, score=0.0, cost=ceiling)
        if baseline is not None:
            above_baseline = pareto.hypervolume(among, score=baseline.main, cost=ceiling)
    return Axis(key, title, unit, marked, teacher, baseline, above_baseline, above_zero)


def _enters(row: ReportRow, teacher: ReportRow | None, key: str, rows: Sequence[ReportRow]) -> bool:
    """Tell whether a row enters the front: times must be of the teacher's conditions."""
    # A baseline runs on other terms: it is drawn, and compared by score alone.
    if row.role == "baseline":
        return False
    if key != "latency" or teacher is None:
        return True
    protocol = protocol_of(rows)
    own, other = row.latency(protocol), teacher.latency(protocol)
    return own is not None and (other is None or comparable(own.conditions, other.conditions))


def _milliseconds(row: ReportRow, protocol: str) -> float | None:
    """Return the median time of a row; None when it was not timed."""
    latency = row.latency(protocol)
    return latency.median_ms if latency else None
