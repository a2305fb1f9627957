"""Where a study lies on disk: its records, its folder of runs, its exported models' records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from destila import records
from destila.config import read_toml
from destila.errors import ConfigError
from destila.records import Record


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """A study on disk.

    source: where its records are. folder: of its runs, None when there is none here.
    """

    source: Path
    name: str
    records: list[Record]
    folder: Path | None


def find_study(study: str, *places: Path | None) -> StudyFiles:
    """Find a study by path or name, with the records of its exported models.

    Args:
        study: a folder, the name of one below runs/ or results/, or a file of records.
        *places: further folders that may hold its runs.

    Raises:
        ConfigError: there is no such study, or it has no record yet.
    """
    # A path is meant literally; a name is looked up where commands write by default.
    candidates = [Path(study), Path("runs") / study, Path("results") / f"{study}.jsonl"]
    existing = [path for path in candidates if path.exists()]
    if not existing:
        looked = ", ".join(str(path) for path in candidates)
        raise ConfigError(f"no study '{study}': looked at {looked}")

    # A recipe may keep its records elsewhere; its folder of runs then has none.
    existing += [path for folder in existing if (path := _kept_elsewhere(folder)) is not None]
    for source in existing:
        # The first place that holds records wins; an empty folder may have them elsewhere.
        known = records.read_records(source)
        if not known:
            continue
        name = known[-1].study
        folder = _runs_folder(name, *(path for path in existing if path.is_dir()), *places)

        # Exports of a study are recorded beside the models; the study may list them already.
        exported = folder / "exported" if folder else None
        more = records.read_records(exported) if exported and exported.is_dir() else []
        keys = {record.key for record in known}
        every = [*known, *(record for record in more if record.key not in keys)]
        return StudyFiles(source, name, every, folder)

    raise ConfigError(f"study {existing[0]} has no records yet: 'destila run RECIPE' makes them")


def _kept_elsewhere(folder: Path) -> Path | None:
    """Return the file in which a study's recipe keeps its records; None when it is the folder."""
    recipe = folder / "recipe.toml"
    if not recipe.is_file():
        return None

    # Only these two keys are needed, and old recipes may fail today's checks.
    tables = read_toml(recipe)
    results, name = tables.get("results"), tables.get("name")
    if not isinstance(results, str) or not isinstance(name, str):
        return None
    path = Path(results) / f"{name}.jsonl"
    return path if path.exists() else None


def _runs_folder(study: str, *places: Path | None) -> Path | None:
    """Return the folder with the study's runs: one of the places, else runs/STUDY; None if none."""
    # A folder without any of these holds a recipe or a report, but no runs.
    parts = ("students", "teachers", "exported")
    folders = [place for place in (*places, Path("runs") / study) if place is not None]
    return next((p for p in folders if any((p / part).is_dir() for part in parts)), None)
