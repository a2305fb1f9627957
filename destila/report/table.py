"""The Markdown report of a study and the short rows a terminal shows; drawn from saved records only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from destila.records import Record
from destila.report import sections
from destila.report.rows import rows, speed_up, teacher_of
from destila.report.sections import Section
from destila.report.tradeoff import protocol_of


def markdown(records: Sequence[Record], study: str, *, beside: str | None = None) -> str:
    """The whole report, the sections of `sections.sections`."""
    every = rows(records)
    made = sections.sections(every, beside=beside)
    parts = [f"# {study}", sections.opening(every), *(laid_out(section) for section in made)]
    return "\n\n".join(parts) + "\n"


def terminal_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One short row per model and role for a terminal or a program.

    Keys: model, role, params, size_mb, main, score, sd, seeds, latency_ms, speed_up; None where not measured.
    latency_ms: the median on real texts, else of the papers' protocol.
    """
    every = rows(records)
    teacher, protocol = teacher_of(every), protocol_of(every)
    found = []
    for row in every:
        latency = row.latency(protocol)
        found.append(
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
    return found


def verdicts(records: Sequence[Record]) -> list[str]:
    """What a report concludes, one sentence each: every gain of distilling, and whether the baseline wins."""
    return sections.verdicts(rows(records))


def grid(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the columns after the second are set to the right."""
    marks = ["---" if i < 2 else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, marks, *body])


def laid_out(section: Section) -> str:
    """A section as Markdown."""
    table = grid(section.header, section.body) if section.header else ""
    bullets = "\n".join(f"- {line}" for line in section.bullets)
    parts = [f"## {section.title}", section.opening, table, section.notes, bullets]
    return "\n\n".join(part for part in parts if part)
