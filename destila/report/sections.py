"""What a report says, section by section, and its first sentences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from destila.report import headline, mistakes, sections_compared, sections_measured
from destila.report.differences.compare import against_baseline, gains
from destila.report.differences.verdict import judge_best
from destila.report.rows import ReportRow
from destila.report.section import Section
from destila.report.words import score_name, split_name


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


def first_sentence(rows: Sequence[ReportRow]) -> str:
    """State whether the best student beats its twin and the baseline; "" without a student."""
    verdict = judge_best(rows)
    return verdict.sentence() if verdict else ""


_OWN_DATA = {
    "table": "Your table",
    "conll": "Your column file",
    "conllu": "Your CoNLL-U file",
    "squad": "Your questions",
}
"""What the plug-ins are called that read a user's own files."""


def opening_sentence(rows: Sequence[ReportRow], *, conclusion: bool = True) -> str:
    """State what the study shows; name the data set, the task, and how scores are printed.

    Args:
        rows: of the study.
        conclusion: what it shows too; False where that stands beside.
    """
    if not rows:
        return "No records yet: `destila run RECIPE` makes them."

    # All records of a study share data set, task and main score.
    first = rows[0].first
    shown = first_sentence(rows) if conclusion else ""
    tested = f", {len(first.items):,} examples" if first.items else ""
    data = _OWN_DATA.get(first.dataset, f"Data set {first.dataset}")
    return (
        f"{shown} {data}, task {first.task}, {split_name(first)}{tested}. "
        f"Main score: {score_name(first.main)}. "
        "Scores are ×100; mean ± standard deviation where there are several seeds."
    ).strip()


def verdicts(rows: Sequence[ReportRow]) -> list[str]:
    """Write the conclusions: one for every gain of distilling, and whether the baseline wins."""
    # These sentences are what the command prints behind the first one.
    gain = [sections_compared.gain_sentence(each) for each in gains(rows)]
    baseline = [sections_compared.baseline_sentence(each) for each in against_baseline(rows)]
    return gain + baseline
