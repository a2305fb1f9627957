"""What a report says, section by section, and its first sentences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from destila.report import headline, mistakes, sections_compared, sections_measured
from destila.report.differences.compare import against_baseline, gains
from destila.report.rows import ReportRow
from destila.report.section import Section
from destila.report.words import score_name


def sections(rows: Sequence[ReportRow], *, beside: str | None = None) -> list[Section]:
    """Draw up every section that the rows have something for.

    Args:
        rows: of one study.
        beside: a student that all others are compared with too.

    Raises:
        DataError: there is no student called `beside`.
    """
    if not rows:
        return []

    # What to take, how good it is and where it fails; then costs; then where the numbers are from.
    makers = (
        headline.headline_section,
        sections_measured.scores_section,
        sections_compared.gains_section,
        partial(sections_compared.against_section, model=beside),
        sections_compared.baseline_section,
        mistakes.labels_section,
        sections_measured.cost_section,
        sections_measured.tradeoff_section,
        sections_measured.retained_section,
        sections_measured.quantised_section,
        sections_compared.published_section,
        sections_compared.conditions_section,
    )
    return [section for make in makers if (section := make(rows)) is not None]


def opening_sentence(rows: Sequence[ReportRow]) -> str:
    """Name the data set, the task, the main score, and say how scores are printed."""
    if not rows:
        return "No records yet: `destila run RECIPE` makes them."

    # All records of a study share data set, task and main score.
    first = rows[0].first
    tested = f", {len(first.items):,} examples" if first.items else ""
    return (
        f"Data set {first.dataset}, task {first.task}, split {first.split}{tested}. "
        f"Main score: {score_name(first.main)}. "
        "Scores are ×100; mean ± standard deviation where there are several seeds."
    )


def verdicts(rows: Sequence[ReportRow]) -> list[str]:
    """Write the conclusions: one for every gain of distilling, and whether the baseline wins."""
    # These sentences are what the command prints, too.
    gain = [sections_compared.gain_sentence(each) for each in gains(rows)]
    baseline = [sections_compared.baseline_sentence(each) for each in against_baseline(rows)]
    return gain + baseline
