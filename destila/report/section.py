"""A section of a report, before it is set as Markdown (`table.py`) or HTML (`page.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.report.differences.compare import Difference
from destila.report.rows import ReportRow
from destila.report.words import NONE, points, signed

BUSY = "†"
"""Marks a time that cannot be believed."""


@dataclass(frozen=True, slots=True)
class Section:
    """A title and, in this order, what is there of: an opening, a table, notes under it, bullets.

    key: a stable short name. The table's first column names its rows.

    Example: `Section("baseline", "Baseline", bullets=["The baseline wins: ..."])`.
    """

    key: str
    title: str
    opening: str = ""
    header: Sequence[str] = ()
    body: Sequence[Sequence[str]] = ()
    notes: str = ""
    bullets: Sequence[str] = ()


def score_cell(row: ReportRow, key: str) -> str:
    """Write a score as mean and spread over seeds; a dash where a record lacks it."""
    mean, spread = row.mean(key), row.spread(key)
    if mean is None:
        return NONE
    return points(mean) + (f" ± {points(spread)}" if spread is not None else "")


def time_cell(row: ReportRow, protocol: str) -> str:
    """Write a time as median and 95th percentile, marked where it cannot be believed."""
    latency = row.latency(protocol)
    if latency is None:
        return NONE
    mark = f" {BUSY}" if row.doubt else ""
    return f"{latency.median_ms:.2f} ({latency.p95_ms:.2f}){mark}"


def share_cell(value: float | None) -> str:
    """Write a ratio in per cent; a dash for None."""
    return NONE if value is None else f"{100 * value:.1f} %"


def interval_cell(difference: Difference) -> str:
    """Write the interval of a difference; a dash where there is none."""
    if difference.low is None or difference.high is None:
        return NONE
    return f"[{signed(difference.low)}, {signed(difference.high)}]"


def scores_in(rows: Sequence[ReportRow]) -> set[str]:
    """Return the keys of all scores that any record has."""
    return {score for row in rows for record in row.records for score in record.scores}
