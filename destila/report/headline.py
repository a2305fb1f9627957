"""The first thing that a report says: which model to take, what it scores, costs and gains."""

from __future__ import annotations

from collections.abc import Sequence

from destila.report.differences.compare import Difference, row_difference, twin_of
from destila.report.drawing.tradeoff import best_baseline, protocol_of
from destila.report.mistakes import best_encoder
from destila.report.rows import ReportRow, name_of, speed_up, teacher_of
from destila.report.section import Section, interval_cell, score_cell, share_cell, time_cell
from destila.report.words import NONE, as_factor, in_megabytes, points, score_name, signed

_MAJORITY = "majority"
"""The baseline that always gives the most frequent label."""
_EXPORT_DROP = 0.01 + 1e-9
"""Most of the main score that an export may lose to be taken instead of its model."""


def recommended(rows: Sequence[ReportRow]) -> ReportRow | None:
    """Return the row to take: the best by the main score; None where only a teacher is there.

    A baseline that scores as much as the best encoder is taken, as it costs less; an export is
    taken instead of the model it was made from, where it loses at most a point.
    """
    encoders = [row for row in rows if row.role not in ("teacher", "baseline")]
    best, baseline = best_encoder(encoders), best_baseline(rows)
    if best is None or (baseline is not None and baseline.main >= best.main):
        return baseline

    # What is shipped is the export.
    exports = [row for row in encoders if row.role == "exported" and _source(row, rows) is best]
    near = [row for row in exports if best.main - row.main <= _EXPORT_DROP]
    return max(near, key=lambda row: row.main, default=best)


def headline_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up the row to take, in one line; None where there is none."""
    row = recommended(rows)
    if row is None:
        return None
    teacher, protocol = teacher_of(rows), protocol_of(rows)

    # A cell for each question that a reader comes with.
    facts = {
        "model": name_of(row),
        score_name(row.first.main): score_cell(row, row.first.main),
        "MB": in_megabytes(row.first.size_bytes),
        "ms (p95)": time_cell(row, protocol),
        "of the teacher": share_cell(row.main / teacher.main if teacher and teacher.main else None),
        "speed-up": as_factor(speed_up(row, teacher, protocol)),
        "over its twin": _gain(_over_twin(row, rows)),
        "over the baseline": _gain(_over_baseline(row, rows)),
    }
    header = [key for key, value in facts.items() if value != NONE]
    return Section(
        "headline",
        "Which model to take",
        header=header,
        body=[[facts[key] for key in header]],
        notes=_why(row, rows),
    )


def headline_sentence(rows: Sequence[ReportRow]) -> str:
    """Say in one line which model to take; "" where there is none."""
    row = recommended(rows)
    if row is None:
        return ""
    latency = row.latency(protocol_of(rows))
    time = f", {latency.median_ms:.2f} ms" if latency else ""
    return (
        f"Take {name_of(row)}: {points(row.main)} {score_name(row.first.main)}, "
        f"{in_megabytes(row.first.size_bytes)} MB{time}."
    )


def _why(row: ReportRow, rows: Sequence[ReportRow]) -> str:
    """Say why this row is taken."""
    if row.role == "baseline" and row.model == _MAJORITY:
        return "No student beats the most frequent label: none of them is worth taking yet."
    if row.role == "baseline":
        return "The baseline scores as much as the best student or more, and costs less."
    if row.role == "exported":
        return "The best student by the main score, as its export, which loses at most a point."
    exported = any(other.role == "exported" for other in rows)
    after = "" if exported else " `destila export` makes it smaller and faster."
    return f"The best student by the main score.{after}"


def _source(row: ReportRow, rows: Sequence[ReportRow]) -> ReportRow:
    """Return the row that an export was made from; of any other row, itself."""
    if row.role != "exported":
        return row
    runs = {record.run for record in row.records}
    made = (
        other
        for other in rows
        if other.role in ("distilled", "finetuned")
        and runs & {record.run for record in other.records}
    )
    return next(made, row)


def _over_twin(row: ReportRow, rows: Sequence[ReportRow]) -> Difference | None:
    """Compare a distilled student, or its export, with the same student fine-tuned."""
    source = _source(row, rows)
    twin = twin_of(source, rows)
    return None if twin is None else row_difference(source, twin, same_seeds=True)


def _over_baseline(row: ReportRow, rows: Sequence[ReportRow]) -> Difference | None:
    """Compare a model with the best baseline."""
    baseline = best_baseline(rows)
    return None if baseline is None or row is baseline else row_difference(row, baseline)


def _gain(difference: Difference | None) -> str:
    """Write a gain with its interval; a dash where there is nothing to compare with."""
    if difference is None:
        return NONE
    between = interval_cell(difference)
    return signed(difference.mean) + (f" {between}" if between != NONE else "")
