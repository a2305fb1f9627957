"""`destila report`: the report of a study, or of pre-trainings, as Markdown and as one HTML page, from what was saved."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.report import page, pretraining, pretraining_log, records, table
from destila.text.files import write_text
from destila.types import Record


class Config(Options):
    """What to report on."""

    study: str = opt(
        ..., "folder or name (runs/NAME) of a study or a pre-training, or a .jsonl file of records (results/NAME.jsonl)"
    )
    out: str | None = opt(
        None, "Markdown file, the page beside it; none = report.md in the folder, or NAME.md beside the .jsonl file"
    )
    against: str | None = opt(None, "a student that all others are compared with, too")


@dataclass(frozen=True, slots=True)
class Found:
    """A study on disk. source: where its records are; folder: of its runs, None when there is none here."""

    source: Path
    name: str
    records: list[Record]
    folder: Path | None


def run(config: Config) -> dict[str, Any]:
    """Writes both reports; the result has study, report and page (paths), rows (see `terminal_rows`), lines to say.

    A folder with the log of a pre-training, or with those of several, gets their report; without jinja2 page is None.
    Raises ConfigError when there is no such study or `out` cannot be written, DataError when it has no records yet or
    a damaged one, MissingExtraError (after the Markdown is written) without jinja2.
    """
    asked = Path(config.out) if config.out else None
    for folder in (Path(config.study), Path("runs") / config.study):
        if runs := pretraining_log.read(folder):
            if config.against is not None:
                raise ConfigError(f"{folder} holds pre-trainings, and --against compares students: leave it out")
            return _pretrained(folder, runs, asked)
    found = find(config.study, asked.parent if asked else None)
    source = found.source
    out = (asked or (source / "report" if source.is_dir() else source)).with_suffix(".md")
    beside = out.with_suffix(".html")
    _write(out, table.markdown(found.records, found.name, beside=config.against))
    _write(beside, page.html(found.records, found.name, found.folder, beside=config.against))
    lines = [*table.verdicts(found.records), f"report: {out}", f"page: {beside}"]
    rows = table.terminal_rows(found.records)
    return {"study": found.name, "report": str(out), "page": str(beside), "rows": rows, "lines": lines}


def _pretrained(folder: Path, runs: list[pretraining_log.Trained], out: Path | None) -> dict[str, Any]:
    try:
        paths = [str(path) for path in pretraining.write(folder, out)]
    except OSError as error:
        raise _unwritable(out or folder, error) from error
    lines = [*pretraining.verdicts(runs), *(f"report: {path}" for path in paths)]
    beside = paths[1] if len(paths) > 1 else None
    return {"study": folder.name, "report": paths[0], "page": beside, "rows": pretraining.rows(runs), "lines": lines}


def find(study: str, *places: Path | None) -> Found:
    """The study given by path or name: its records, those of its exported models too, and the folder of its runs.

    places: further folders that may be the one with its runs. Raises ConfigError when there is none, or no record.
    """
    candidates = [Path(study), Path("runs") / study, Path("results") / f"{study}.jsonl"]
    existing = [path for path in candidates if path.exists()]
    if not existing:
        raise ConfigError(f"no study '{study}': looked at {', '.join(str(path) for path in candidates)}")
    existing += [path for folder in existing if (path := _kept_elsewhere(folder)) is not None]
    for source in existing:
        known = records.read(source)
        if known:
            name = known[-1].study
            folder = _runs(name, *(path for path in existing if path.is_dir()), *places)
            exported = folder / "exported" if folder else None
            more = records.read(exported) if exported and exported.is_dir() else []
            keys = {record.key for record in known}
            return Found(source, name, [*known, *(r for r in more if r.key not in keys)], folder)
    raise ConfigError(f"study {existing[0]} has no records yet: 'destila run RECIPE' makes them")


def _kept_elsewhere(folder: Path) -> Path | None:
    """The file in which a study's recipe keeps its records; None when it is in the folder itself."""
    recipe = folder / "recipe.toml"
    if not recipe.is_file():
        return None
    told = tomllib.loads(recipe.read_text(encoding="utf-8"))
    path = Path(told["results"]) / f"{told['name']}.jsonl" if "results" in told else None
    return path if path is not None and path.exists() else None


def _runs(study: str, *places: Path | None) -> Path | None:
    """The folder that has the study's runs: one of the places, else runs/STUDY; None when none has any."""
    parts = ("students", "teachers", "exported")
    folders = [place for place in (*places, Path("runs") / study) if place is not None]
    return next((p for p in folders if any((p / part).is_dir() for part in parts)), None)


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}; give another place with --out")
