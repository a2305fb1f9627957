"""The report of a study, or of pre-trainings, as Markdown and as one HTML page, from what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.errors import ConfigError
from destila.files import write_text
from destila.report import page, table
from destila.report.find import find
from destila.report.pretraining import pretraining_log, pretraining_report

REPORTS = Path("reports")
"""Where the report of a file of records goes."""


def write(study: str, *, out: str | None = None, against: str | None = None) -> dict[str, Any]:
    """Writes both reports; the result has study, report and page (paths), rows (see `terminal_rows`), lines to say.

    A folder with the log of a pre-training, or with those of several, gets their report; without jinja2 page is None.
    Raises ConfigError when there is no such study or `out` cannot be written, DataError when it has no records yet or
    a damaged one, MissingExtraError (after the Markdown is written) without jinja2.
    """
    asked = Path(out) if out else None
    for folder in (Path(study), Path("runs") / study):
        if runs := pretraining_log.read_pretrain_logs(folder):
            if against is not None:
                raise ConfigError(
                    f"{folder} holds pre-trainings, and --against compares students: leave it out"
                )
            return _pretrained(folder, runs, asked)
    found = find(study, asked.parent if asked else None)
    source = found.source
    # A file of records may lie in a tracked folder: its report goes to one that is not.
    usual = source / "report" if source.is_dir() else REPORTS / source.stem
    target = (asked or usual).with_suffix(".md")
    beside = target.with_suffix(".html")
    _write(target, table.markdown(found.records, found.name, beside=against))
    _write(beside, page.html(found.records, found.name, found.folder, beside=against))
    lines = [*table.verdicts(found.records), f"report: {target}", f"page: {beside}"]
    rows = table.terminal_rows(found.records)
    return {
        "study": found.name,
        "report": str(target),
        "page": str(beside),
        "rows": rows,
        "lines": lines,
    }


def _pretrained(
    folder: Path, runs: list[pretraining_log.PretrainLog], out: Path | None
) -> dict[str, Any]:
    try:
        paths = [str(path) for path in pretraining_report.write_pretrain_report(folder, out)]
    except OSError as error:
        raise _unwritable(out or folder, error) from error
    lines = [*pretraining_report.pretrain_verdicts(runs), *(f"report: {path}" for path in paths)]
    beside = paths[1] if len(paths) > 1 else None
    return {
        "study": folder.name,
        "report": paths[0],
        "page": beside,
        "rows": pretraining_report.pretrain_rows(runs),
        "lines": lines,
    }


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}; give another place with --out")
