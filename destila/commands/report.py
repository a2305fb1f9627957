"""Compare every record of a study, of a matrix or of pre-trainings: Markdown and one HTML page."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import study_card
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.report.write import write_report
from destila.study.intake.recipe_list import is_matrix

PANEL = "A study"


class Config(Options):
    """What to report on."""

    study: str = opt(
        ...,
        "folder or name (runs/NAME) of a study or a pre-training, a .jsonl file of records, or the "
        "file of a matrix",
    )
    out: str | None = opt(
        None,
        "Markdown file, the page beside it; none = report.md in the folder, reports/NAME.md of a "
        "file",
    )
    against: str | None = opt(None, "a student that all others are compared with, too")


def run(config: Config) -> dict[str, Any]:
    """Write both reports; `report.write.write_report` says what is returned and raised."""
    if is_matrix(config.study):
        if config.against is not None:
            raise ConfigError(f"{config.study} is a matrix, and --against compares students")
        from destila.matrix.matrix import read_matrix  # its recipes need torch
        from destila.matrix.report_matrix import report_matrix

        return report_matrix(read_matrix(config.study), out=config.out)
    return write_report(config.study, out=config.out, against=config.against)


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return its models as rows, and its conclusions."""
    return study_card(result)
