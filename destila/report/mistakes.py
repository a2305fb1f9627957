"""What a study's models get right and wrong: every label, confusions, the worst examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destila.files import read_log
from destila.report import runs
from destila.report.rows import ReportRow, name_of
from destila.report.section import Section
from destila.report.words import NONE, in_megabytes, points

WRONG_FILE = "wrong.jsonl"
"""The test examples that a model was surest of, and wrong; in the folder of its test."""
_SHOWN = 20
"""As many of them are shown."""


def labels_section(rows: Sequence[ReportRow]) -> Section | None:
    """Draw up F1 of every label in every row; None where no record has it."""
    # Records of an older form have no counts per label.
    known = [row for row in rows if row.first.details.get("per_label")]
    if not known:
        return None

    body = []
    for label, counts in known[0].first.details["per_label"].items():
        cells = [_mean_of_label(row, label) for row in known]
        body.append([label, f"{counts.get('support', 0):,.0f}", *cells])
    return Section(
        "labels",
        "Labels",
        "F1 ×100 of every label, or of every entity type; mean over seeds.",
        ["label", "examples", *map(name_of, known)],
        body,
    )


def wrong_section(rows: Sequence[ReportRow], folder: Path | None) -> Section | None:
    """Draw up the worst test examples of the best encoder; None where they were not kept.

    Args:
        rows: of a study.
        folder: of the study, which keeps them beside the records: texts may not be published.
    """
    row = best_encoder(rows)
    if row is None or folder is None:
        return None
    path = folder / "tested" / row.first.run / WRONG_FILE
    examples = read_log(path) if path.is_file() else []
    if not examples:
        return None

    opening = f"Test examples that {name_of(row)} was surest of, and wrong; the first seed."
    header = ["gold", "given", "probability", "text"]
    body = [_wrong_cells(example) for example in examples[:_SHOWN]]
    return Section("wrong", "Most wrong test examples", opening, header, body)


def _wrong_cells(example: Mapping[str, Any]) -> list[str]:
    """Write an example: of a tagger the words that it got wrong."""
    words = example.get("words")
    if words:
        gold = ", ".join(f"{word} {tag}" for word, tag, _ in words)
        given = ", ".join(f"{word} {tag}" for word, _, tag in words)
    else:
        gold, given = (_labels_cell(example.get(key)) for key in ("gold", "predicted"))
    sure = example.get("probability")
    text = " | ".join(str(example[key]) for key in ("text", "pair") if example.get(key))
    return [gold, given, NONE if sure is None else f"{100 * sure:.0f} %", text]


def _labels_cell(value: Any) -> str:
    """Write a label, or several; "no label" where none of several applies."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "no label"
    return NONE if value is None else str(value)


def best_encoder(rows: Sequence[ReportRow]) -> ReportRow | None:
    """Return the row that a user would take: the best student or export, else the best there is."""
    students = [row for row in rows if row.role not in ("teacher", "baseline")]
    return max(students or rows, key=lambda row: row.main, default=None)


def confusions(rows: Sequence[ReportRow], folder: Path | None) -> list[dict[str, Any]]:
    """Draw up the confusion of each row's first seed, the best encoder's open."""
    known = [row for row in rows if row.first.details.get("confusion")]
    if not known:
        return []

    # The counts alone do not name their labels.
    labels = runs.labels_of([record for row in known for record in row.records], folder)

    # The reader's first question is about the best encoder: one table is open.
    best = best_encoder(known)

    tables = []
    for row in known:
        # Every count with its share of the gold label.
        body = []
        for line in row.first.details["confusion"]:
            total = sum(line)
            body.append([(n, n / total if total else 0.0) for n in line])
        tables.append(
            {
                "name": name_of(row),
                "seed": row.first.seed,
                "size": in_megabytes(row.first.size_bytes),
                "labels": labels,
                "body": body,
                "open": row is best,
            }
        )
    return tables


def _mean_of_label(row: ReportRow, label: str) -> str:
    """Average the F1 of a label over seeds; a dash where a record lacks it."""
    # A mean over some of the seeds would not be comparable.
    values = [r.details.get("per_label", {}).get(label, {}).get("f1") for r in row.records]
    return NONE if not values or None in values else points(sum(values) / len(values))
