"""Sections that compare: with fine-tuning, one student, the baseline, and published numbers."""

from __future__ import annotations

from collections.abc import Sequence

from destila.report import reference
from destila.report.differences.compare import Difference, against, against_baseline, gains
from destila.report.rows import ReportRow, name_of
from destila.report.section import Section, interval_cell, score_cell, scores_in
from destila.report.words import NONE, conditions_of, list_conditions, points, score_name, signed

_INTERVAL = (
    "95 % interval over test examples and seeds, paired (Student's, by the number of seeds); "
    "differences in points."
)


def gains_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up what distilling gains over fine-tuning; None where no student has both."""
    differences = gains(rows)
    if not differences:
        return None

    # The verdict stands in the second column, before the numbers that it comes from.
    header = ["student", "reading", "distilled", "fine-tuned"]
    header += ["difference", "95 % interval", "seeds"]
    body = [
        [each.a.model, each.reading, points(each.a.main), points(each.b.main), *_cells(each)]
        for each in differences
    ]
    title = "What distilling gains over fine-tuning"
    return Section("gains", title, header=header, body=body, notes=_INTERVAL)


def against_section(rows: Sequence[ReportRow], *, model: str | None) -> Section | None:
    """Draw up every student beside one; None where none was asked for."""
    if model is None:
        return None
    header = ["student", "reading", "score", "difference", "95 % interval", "seeds"]
    body = [
        [name_of(each.a), each.reading, points(each.a.main), *_cells(each)]
        for each in against(rows, model)
    ]
    return Section("against", f"Against {model}", header=header, body=body, notes=_INTERVAL)


def baseline_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up whether the baseline wins; None without one."""
    # A study without a baseline leaves the question open, and says nothing.
    if not any(row.role == "baseline" for row in rows):
        return None
    sentences = [baseline_sentence(each) for each in against_baseline(rows)]
    return Section(
        "baseline",
        "Baseline",
        bullets=sentences or ["No student to compare the baseline with."],
    )


def gain_sentence(each: Difference) -> str:
    """State what distilling a student gains."""
    seeds = min(each.seeds)
    return (
        f"Distilling {each.a.model} instead of fine-tuning it: {signed(each.mean)} points of "
        f"{score_name(each.a.first.main)}, 95 % interval {interval_cell(each)} "
        f"({each.reading}, {seeds} seed{'s' * (seeds > 1)})."
    )


def baseline_sentence(each: Difference) -> str:
    """State whether the best student beats a baseline."""
    student = f"{name_of(each.a)} {points(each.a.main)}"
    baseline = f"{each.b.model} {points(each.b.main)}"
    how = (
        f"{score_name(each.a.first.main)}, difference {signed(each.mean)} points, "
        f"95 % interval {interval_cell(each)}"
    )

    # Beaten is claimed only where the interval lies above 0.
    verdict = "The baseline is beaten"
    if each.mean < 0:
        verdict = "The baseline wins"
    elif each.mean == 0 or (each.low is not None and each.low <= 0):
        verdict = "No student is shown to beat the baseline"
    return f"{verdict}: {baseline} against {student}, the best student ({how})."


def published_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up published scores on the same data above ours; None where nothing was published."""
    # Published scores of another kind have nothing beside them here.
    dataset, present = rows[0].first.dataset, scores_in(rows)
    published = [p for p in reference.published_scores(dataset) if p.score in present]
    if not published:
        return None

    # A column per published table and way of training, then one per score of ours.
    columns = list(dict.fromkeys((p.table, p.training, p.score) for p in published))
    measured = list(dict.fromkeys(p.score for p in published))
    header = ["model", *(f"measured here, {score_name(score)}" for score in measured)]
    header += [f"{table}, {training}, {score_name(score)}" for table, training, score in columns]

    # Known faults are footnotes.
    notes = list(dict.fromkeys(p.note for p in published if p.note))

    # Ours first, published rows below, with dashes where the other side has no number.
    cells = {(p.model, (p.table, p.training, p.score)): p for p in published}
    body = [
        [name_of(row), *(score_cell(row, key) for key in measured), *[NONE] * len(columns)]
        for row in rows
    ]
    for model in dict.fromkeys(p.model for p in published):
        line = [f"{model} (published)", *[NONE] * len(measured)]
        for column in columns:
            cell = cells.get((model, column))
            mark = f" [{notes.index(cell.note) + 1}]" if cell and cell.note else ""
            line.append(f"{points(cell.value)}{mark}" if cell else NONE)
        body.append(line)

    # Sources below the table, so that every number can be looked up.
    tables = reference.published_tables()
    keys = dict.fromkeys(column[0] for column in columns)
    bullets = [f"{key}: {tables[key].title}. {tables[key].note}" for key in keys]
    bullets += [f"[{i}] {note}" for i, note in enumerate(notes, start=1)]
    opening = (
        "Published by others, not measured here: their training sets, tokenizers, seeds and "
        "versions differ from ours."
    )

    # A reader must know where only the test set is the same.
    if dataset in reference.SAME_TEST:
        opening += f" The test set is that of {reference.SAME_TEST[dataset]}."
    return Section("published", "Published", opening, header, body, bullets=bullets)


def conditions_section(rows: Sequence[ReportRow]) -> Section:
    """List under what conditions everything was measured, each once."""
    records = [record for row in rows for record in row.records]
    measured = [pair for record in records for pair in conditions_of(record)]
    lines = list_conditions(measured)
    code = ", ".join(sorted({record.code for record in records}))
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in records}))
    return Section("conditions", "Conditions", bullets=[*lines, f"code {code}; seeds {seeds}"])


def _cells(each: Difference) -> list[str]:
    """Write a difference, its interval and its seeds."""
    return [signed(each.mean), interval_cell(each), str(min(each.seeds))]
