"""The Markdown report of a study and the short rows a terminal shows; from saved records only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from destila.reading.escaping import markdown, plain
from destila.records import Record
from destila.report import sections
from destila.report.drawing.tradeoff import protocol_of
from destila.report.rows import group_rows, speed_up, teacher_of
from destila.report.section import Section

_NUMBERS = re.compile(r"[\d\s.,+\-–±%×()\[\]†]*")
"""A cell that can hold no name."""


def study_markdown(records: Sequence[Record], study: str, *, beside: str | None = None) -> str:
    """Write the whole report; `beside` names a student that all others are compared with too."""
    # The page draws the same sections; Markdown and page cannot differ.
    rows = group_rows(records)
    every = sections.sections(rows, beside=beside)
    drawn = [section_markdown(each) for each in every if each.header or each.bullets]
    opening = _sentence(sections.opening_sentence(rows))
    return "\n\n".join([f"# {markdown(study)}", opening, *drawn]) + "\n"


def terminal_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Make one short row per model and role for a terminal or a program.

    Returns:
        Rows with model, role, params, size_mb, main, score, sd, seeds, latency_ms (the median on
        real texts, else of the papers' protocol), speed_up; None where not measured.
    """
    rows = group_rows(records)

    # Speed-ups are against the teacher, as in the report.
    teacher, protocol = teacher_of(rows), protocol_of(rows)

    short = []
    for row in rows:
        latency = row.latency(protocol)
        short.append(
            {
                "model": row.model,
                "role": row.role,
                "params": row.first.params,
                "size_mb": round(row.first.size_bytes / 1e6, 2),
                "main": row.first.main,
                "score": row.main,
                "sd": row.spread(row.first.main),
                "seeds": len(row.seeds),
                "latency_ms": latency.median_ms if latency else None,
                "speed_up": speed_up(row, teacher, protocol),
            }
        )
    return short


def markdown_table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; the columns after the first are set to the right."""
    # Names read from the left, numbers compare from the right.
    marks = ["---", *["---:"] * (len(header) - 1)]
    lines = [[_escaped(cell) for cell in line] for line in (header, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], marks, *lines[1:]])


def _escaped(text: str) -> str:
    """Write a cell: numbers and intervals as they are, names without any markup of theirs."""
    return text if _NUMBERS.fullmatch(text) else markdown(text)


def _sentence(text: str) -> str:
    """Write a sentence of ours that may hold a name: no tag and no control of it counts."""
    return plain(text).replace("&", "&amp;").replace("<", "&lt;")


def section_markdown(section: Section) -> str:
    """Write a section as Markdown."""
    table = markdown_table(section.header, section.body) if section.header else ""
    bullets = "\n".join(f"- {_sentence(line)}" for line in section.bullets)
    parts = [f"## {markdown(section.title)}", _sentence(section.opening), table, section.notes]
    return "\n\n".join(part for part in (*parts, bullets) if part)
