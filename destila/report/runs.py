"""What a study's folder says beyond its records: learning curves, label names, model folders.

<folder>/students/<run>/log.jsonl, <folder>/teachers/<run>/log.jsonl     learning curves
<folder>/students/<run>/best, <folder>/teachers/<run>/best               model folders
<folder>/exported/<run>                                                  model folders
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
class LogCurves:
    """A run's training as curves of (step, value).

    loss: as logged. main: main score on dev at evaluations. dev_loss: loss on dev there.
    """

    run: str
    loss: tuple[tuple[float, float], ...]
    main: tuple[tuple[float, float], ...]
    dev_loss: tuple[tuple[float, float], ...]


def read_logs(folder: Path | None) -> dict[str, LogCurves]:
    """Read the logs below a study's folder, by run folder; {} without a folder.

    A line that a kill cut off is skipped.
    """
    if folder is None:
        return {}

    # Only trainings leave a log.
    parts = ("teachers", "students")
    paths = [path for part in parts for path in sorted(folder.glob(f"{part}/*/{LOG_FILE}"))]
    return {path.parent.name: _read_log(path) for path in paths}


def log_of(record: Record, logs: dict[str, LogCurves]) -> LogCurves | None:
    """Return the log of a record's run; None when there is none, or when it is of a later training.

    A teacher's folder also names the seed. The kept checkpoint's dev score must be among the log's.
    """
    log = logs.get(record.run) or logs.get(f"{record.run}-s{record.seed}")
    dev = record.details.get("dev", {}).get(record.main)
    if log is None or dev is None:
        return log

    # A run folder may be trained again after its record was written.
    return log if any(abs(value - dev) < 1e-9 for _, value in log.main) else None


def model_folders(folder: Path, record: Record) -> list[Path]:
    """List where a record's model is looked for, in this order."""
    run, seeded = record.run, f"{record.run}-s{record.seed}"

    # Exports lie in a room of their own, without checkpoints.
    if record.role == "exported":
        return [folder / "exported" / run]
    part = "teachers" if record.role == "teacher" else "students"
    return [folder / part / run / "best", folder / part / seeded / "best"]


def labels_of(records: Sequence[Record], folder: Path | None) -> tuple[str, ...]:
    """Name the study's labels in the order of the confusion counts; numbers where nobody knows."""
    tables = [record.details["confusion"] for record in records if record.details.get("confusion")]
    size = len(tables[0]) if tables else 0

    # Names are right only when there are as many as the counts have rows.
    for names in _label_sources(records, folder):
        if len(names) == size:
            return tuple(str(name) for name in names)
    return tuple(str(i) for i in range(size))


def _label_sources(records: Sequence[Record], folder: Path | None) -> Iterator[Sequence[str]]:
    """Yield label names by all who could know them, the surest first."""
    # What a record states itself is surest.
    for record in records:
        yield record.details.get("labels", ())
        yield list(record.details.get("per_label", ()))

    # Then the model folders, if they still exist.
    if folder is not None:
        for record in records:
            places = model_folders(folder, record)
            yield from (
                read_folder(path).labels or ()
                for path in places
                if (path / "config.json").is_file()
            )

    # The data set itself may define its labels.
    if records and records[0].dataset in plugins.names("datasets"):
        yield plugins.find("datasets", records[0].dataset, "LABELS").LABELS or ()


def _read_log(path: Path) -> LogCurves:
    """Read the log of one run."""
    # A log mixes steps and evaluations, each with some of the keys.
    lines = read_log(path)

    def curve(key: str) -> tuple[tuple[float, float], ...]:
        """Take one key over steps, wherever a line has it."""
        logged = [x for x in lines if key in x and "step" in x]
        return tuple((float(x["step"]), float(x[key])) for x in logged)

    return LogCurves(path.parent.name, curve("loss"), curve("main"), curve("dev_loss"))
