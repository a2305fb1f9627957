"""What a study's folder says beyond its records: learning curves from `log.jsonl`, label names from model folders.

<folder>/students/<run>/log.jsonl, <folder>/teachers/<run>/log.jsonl
<folder>/students/<run>/best, <folder>/teachers/<run>/best, <folder>/exported/<run>    model folders
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from destila import plugins
from destila.files import read_log
from destila.model_folder import read_folder
from destila.records import Record

LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Log:
    """A run's training: (step, loss) as logged, (step, main score on dev) and (step, loss on dev) at evaluations."""

    run: str
    loss: tuple[tuple[float, float], ...]
    main: tuple[tuple[float, float], ...]
    dev_loss: tuple[tuple[float, float], ...]


def logs(folder: Path | None) -> dict[str, Log]:
    """The logs below a study's folder by run folder; {} without a folder. A line that a kill cut off is skipped."""
    if folder is None:
        return {}
    paths = [
        path
        for part in ("teachers", "students")
        for path in sorted(folder.glob(f"{part}/*/{LOG_FILE}"))
    ]
    return {path.parent.name: _log(path) for path in paths}


def log_of(record: Record, found: dict[str, Log]) -> Log | None:
    """The log of a record's run; None when there is none, or when it is of a later training than the record.

    A teacher's folder also names the seed. The kept checkpoint's dev score must be among the log's.
    """
    log = found.get(record.run) or found.get(f"{record.run}-s{record.seed}")
    dev = record.details.get("dev", {}).get(record.main)
    if log is None or dev is None:
        return log
    return log if any(abs(value - dev) < 1e-9 for _, value in log.main) else None


def model_folders(folder: Path, record: Record) -> list[Path]:
    """Where a record's model is looked for, in this order."""
    run, seeded = record.run, f"{record.run}-s{record.seed}"
    if record.role == "exported":
        return [folder / "exported" / run]
    part = "teachers" if record.role == "teacher" else "students"
    return [folder / part / run / "best", folder / part / seeded / "best"]


def labels_of(records: Sequence[Record], folder: Path | None) -> tuple[str, ...]:
    """The study's labels in the order of the confusion counts; numbers when nothing says their names."""
    tables = [record.details["confusion"] for record in records if record.details.get("confusion")]
    size = len(tables[0]) if tables else 0
    for names in _named(records, folder):
        if len(names) == size:
            return tuple(str(name) for name in names)
    return tuple(str(i) for i in range(size))


def _named(records: Sequence[Record], folder: Path | None) -> Iterator[Sequence[str]]:
    """Label names by all who could know them, the surest first."""
    for record in records:
        yield record.details.get("labels", ())
        yield list(record.details.get("per_label", ()))
    if folder is not None:
        places = (path for record in records for path in model_folders(folder, record))
        yield from (
            read_folder(path).labels or () for path in places if (path / "config.json").is_file()
        )
    if records and records[0].dataset in plugins.names("datasets"):
        yield plugins.find("datasets", records[0].dataset, "LABELS").LABELS or ()


def _log(path: Path) -> Log:
    lines = read_log(path)
    keys = ("loss", "main", "dev_loss")
    series = [
        tuple((float(x["step"]), float(x[key])) for x in lines if key in x and "step" in x)
        for key in keys
    ]
    return Log(path.parent.name, *series)
