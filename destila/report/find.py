"""Where a study lies on disk: its records, its folder of runs, and the records of its exported models."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from destila import records
from destila.errors import ConfigError
from destila.records import Record


@dataclass(frozen=True, slots=True)
class Found:
    """A study on disk. source: where its records are; folder: of its runs, None when there is none here."""

    source: Path
    name: str
    records: list[Record]
    folder: Path | None


def find(study: str, *places: Path | None) -> Found:
    """The study given by path or name: its records, those of its exported models too, and the folder of its runs.

    places: further folders that may be the one with its runs. Raises ConfigError when there is none, or no record.
    """
    candidates = [Path(study), Path("runs") / study, Path("results") / f"{study}.jsonl"]
    existing = [path for path in candidates if path.exists()]
    if not existing:
        raise ConfigError(
            f"no study '{study}': looked at {', '.join(str(path) for path in candidates)}"
        )
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
