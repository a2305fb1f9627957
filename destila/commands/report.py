"""Compare every record of a study, or of pre-trainings: Markdown and one HTML page."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import study_card
from destila.config import Options, opt
from destila.report.write import write_report

PANEL = "A study"


class Config(Options):
    """What to report on."""

    study: str = opt(
        ...,
        "folder or name (runs/NAME) of a study or a pre-training, or a .jsonl file of records",
    )
    out: str | None = opt(
        None,
        "Markdown file, the page beside it; none = report.md in the folder, reports/NAME.md of a "
        "file",
    )
    against: str | None = opt(None, "a student that all others are compared with, too")


def run(config: Config) -> dict[str, Any]:
    """Write both reports; `report.write.write_report` says what is returned and raised."""
    return write_report(config.study, out=config.out, against=config.against)


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return its models as rows, and its conclusions."""
    return study_card(result)
