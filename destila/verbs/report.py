"""`destila report`: the report of a study as Markdown and as one HTML page, drawn from its saved records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.report import page, records, table
from destila.text.files import write_text


class Config(Options):
    """What to report on."""

    study: str = opt(..., "a study's folder or name (runs/NAME), or a .jsonl file of records (results/NAME.jsonl)")
    out: str | None = opt(
        None, "Markdown file, the page beside it; none = report.md in the folder, or NAME.md beside the .jsonl file"
    )


def run(config: Config) -> dict[str, Any]:
    """Writes both reports; the result has study, report and page (paths), rows (see `terminal_rows`), lines to say.

    Raises ConfigError when there is no such study or `out` cannot be written, DataError when it has no records yet or
    a damaged one, MissingExtraError (after the Markdown is written) without jinja2.
    """
    source = find(config.study)
    found = records.read(source)
    if not found:
        raise ConfigError(f"study {source} has no records yet: 'destila run RECIPE' makes them")
    out = Path(config.out) if config.out else source / "report.md" if source.is_dir() else source.with_suffix(".md")
    study, beside = found[-1].study, out.with_suffix(".html")
    _write(out, table.markdown(found, study))
    _write(beside, page.html(found, study, folder_of(source, study, out.parent)))
    lines = [*table.verdicts(found), f"report: {out}", f"page: {beside}"]
    rows = table.terminal_rows(found)
    return {"study": study, "report": str(out), "page": str(beside), "rows": rows, "lines": lines}


def find(study: str) -> Path:
    """The folder or .jsonl file of a study given by path or name; raises ConfigError when there is none."""
    candidates = [Path(study), Path("runs") / study, Path("results") / f"{study}.jsonl"]
    for path in candidates:
        if path.exists():
            return path
    raise ConfigError(f"no study '{study}': looked at {', '.join(str(path) for path in candidates)}")


def folder_of(source: Path, study: str, *others: Path) -> Path | None:
    """The folder with a study's runs: the source itself, one of others, or runs/STUDY; None when none has any."""
    places = [*([source] if source.is_dir() else []), *others, Path("runs") / study]
    return next((p for p in places if any((p / part).is_dir() for part in ("students", "teachers", "exported"))), None)


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another place with --out") from error
