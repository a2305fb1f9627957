"""The report of a study, or of pre-trainings, as Markdown and a page, from what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.errors import ConfigError
from destila.files import write_text
from destila.report import page, sections, table
from destila.report.find import find_study
from destila.report.headline import headline_sentence
from destila.report.pretraining import pretraining_log, pretraining_report
from destila.report.rows import count_left_out, group_rows

REPORTS = Path("reports")
"""Where the report of a file of records goes: such a file is often tracked, its folder too."""


def write_report(
    study: str, *, out: str | None = None, against: str | None = None
) -> dict[str, Any]:
    """Write both reports of a study, or those of pre-trainings.

    Args:
        study: folder or name of a study or of pre-trainings, or a file of records.
        out: the Markdown file, the page beside it; None = report.md in the study's folder,
            reports/NAME.md for a file of records.
        against: a student that all others are compared with, too.

    Returns:
        study, source (where its records are), report and page (paths), rows (see
        `table.terminal_rows`), lines to show. Without jinja2 there is no page: None.

    Raises:
        ConfigError: there is no such study, or `out` cannot be written.
        DataError: it has no records yet, or a damaged one.
    """
    chosen = Path(out) if out else None

    # Logs of pre-trainings have another form than records of a study: they come first.
    for folder in (Path(study), Path("runs") / study):
        if runs := pretraining_log.read_pretrain_logs(folder):
            if against is not None:
                raise ConfigError(
                    f"{folder} holds pre-trainings, and --against compares students: leave it out"
                )
            return _write_pretrainings(folder, runs, chosen)

    files = find_study(study, chosen.parent if chosen else None)
    target = chosen or _default_place(files.source)
    markdown = target.with_suffix(".md")
    write_report_file(markdown, table.study_markdown(files.records, files.name, beside=against))

    # The page needs an optional package, and the Markdown does not wait for it.
    html = None
    if page.can_draw():
        html = target.with_suffix(".html")
        write_report_file(
            html, page.study_page(files.records, files.name, files.folder, beside=against)
        )

    # The terminal shows the conclusions, and where to read on.
    rows = group_rows(files.records)
    where = [f"report: {markdown}", f"page: {html}" if html else page.NO_PAGE]
    conclusions = [sections.first_sentence(rows), headline_sentence(rows)]
    conclusions += sections.verdicts(rows)
    if exports := count_left_out(files.records):
        conclusions.append(
            f"{exports} exported not shown: scored on the test split, not by cross-validation; "
            "`destila export` says what each loses."
        )
    conclusions += where
    return {
        "study": files.name,
        "source": str(files.folder or files.source),
        "report": str(markdown),
        "page": str(html) if html else None,
        "rows": table.terminal_rows(files.records),
        "lines": [line for line in conclusions if line],
    }


def _default_place(source: Path) -> Path:
    """Return where a report goes that nobody gave a place."""
    return source / "report.md" if source.is_dir() else REPORTS / f"{source.stem}.md"


def _write_pretrainings(
    folder: Path, runs: list[pretraining_log.PretrainLog], out: Path | None
) -> dict[str, Any]:
    """Write the reports of pre-trainings and return what the command shows."""
    try:
        paths = [str(path) for path in pretraining_report.write_pretrain_report(folder, out)]
    except OSError as error:
        raise _unwritable(out or folder, error) from error

    return {
        "study": folder.name,
        "source": str(folder),
        "report": paths[0],
        "page": paths[1] if len(paths) > 1 else None,
        "rows": pretraining_report.pretrain_rows(runs),
        "lines": [
            *pretraining_report.pretrain_verdicts(runs),
            *(f"report: {path}" for path in paths),
        ],
    }


def write_report_file(path: Path, text: str) -> None:
    """Write a file of a report; raise ConfigError where that is not possible."""
    try:
        write_text(path, text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    """Make the error of a place that cannot be written."""
    return ConfigError(f"cannot write {path}: {error.strerror}; give another place with --out")
