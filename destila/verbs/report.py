"""`destila report`: the Markdown report of a study, drawn from its saved records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.report import records, table
from destila.text.files import write_text


class Config(Options):
    """What to report on."""

    study: str = opt(..., "a study's folder or name (runs/NAME), or a .jsonl file of records (results/NAME.jsonl)")
    out: str | None = opt(None, "Markdown file; none = report.md in the folder, or NAME.md beside the .jsonl file")


def run(config: Config) -> dict[str, Any]:
    """Writes the report; the result has study, report (its path), rows (see `terminal_rows`) and lines to say.

    Raises ConfigError when there is no such study, DataError when it has no records yet or a damaged one.
    """
    source = find(config.study)
    found = records.read(source)
    if not found:
        raise ConfigError(f"study {source} has no records yet: 'destila run RECIPE' makes them")
    out = Path(config.out) if config.out else source / "report.md" if source.is_dir() else source.with_suffix(".md")
    study = found[-1].study
    write_text(out, table.markdown(found, study))
    lines = [*table.verdicts(found), f"report: {out}"]
    return {"study": study, "report": str(out), "rows": table.terminal_rows(found), "lines": lines}


def find(study: str) -> Path:
    """The folder or .jsonl file of a study given by path or name; raises ConfigError when there is none."""
    candidates = [Path(study), Path("runs") / study, Path("results") / f"{study}.jsonl"]
    for path in candidates:
        if path.exists():
            return path
    raise ConfigError(f"no study '{study}': looked at {', '.join(str(path) for path in candidates)}")
