"""Records <-> JSON lines, one evaluated model per line.

A file of records grows, and a record may be written again. Either rewrites it under a lock and
renames it, so that several runs can share one file and a kill or a full disk leaves the old one.
The last line with a key is the one that counts.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from destila.errors import ConfigError, DataError
from destila.files import locked, open_text, write_text
from destila.reading.json_lines import (
    LARGEST,
    check_line,
    check_names,
    line_model,
    uncollected,
)
from destila.reading.values import MalformedError, parse_json

RECORD_FILE = "record.jsonl"
"""Name of the file inside a run folder."""

_REMEDY = "delete the line to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where and how a number was measured; a measured number without it cannot be constructed.

    Example: one processor thread, text by text:

        Conditions(device="cpu", cpu="Xeon 8481C", instructions="avx512", threads=1, batch=1,
                   length="median 31 tokens", dtype="float32", backend="torch",
                   versions={"torch": "2.9.0"}, warmup=10, repeats=300)
    """

    device: str
    cpu: str
    instructions: str
    threads: int
    batch: int
    length: str
    dtype: str
    backend: str
    versions: Mapping[str, str]
    warmup: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per example: median and 95th percentile over the timed calls."""

    protocol: str
    median_ms: float
    p95_ms: float
    conditions: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One evaluated model: what it is, what it scores, what it costs. Drawn tables read only these.

    key: fingerprint of everything the run depends on; a recorded key is not run again.
    role: teacher, distilled, finetuned, baseline, exported, evaluated, measured or pretrained.
    main: the key of the task's main score.
    scores: fixed keys, ratios 0-1 (accuracy, macro_f1, mcc, entity_f1, pos_accuracy, chunk_f1, ece,
        agreement).
    details: per_label, confusion, dev scores, notes.
    items: additive counts per test example behind the main score, for paired intervals; see
        `tasks.metrics`.

    Example: a student of 5 M parameters, as one line of `record.jsonl`, shortened:

        {"key": "9c1f...", "study": "ner", "run": "student-distilled-s0", "role": "distilled",
         "model": "student", "task": "tag", "dataset": "conll2002", "split": "test",
         "main": "entity_f1", "scores": {"entity_f1": 0.81}, "params": 5123456,
         "size_bytes": 20493824, "macs": {"total_128": 71000000}, "latency": [...],
         "peak_memory_bytes": 310000000, "seed": 0, "seconds": 512.3, "conditions": {...},
         "config": {...}, "code": "0.2.0", "details": {...}, "items": [[1, 1, 2], ...]}
    """

    key: str
    study: str
    run: str
    role: str
    model: str
    task: str
    dataset: str
    split: str
    main: str
    scores: Mapping[str, float]
    params: int
    size_bytes: int
    macs: Mapping[str, int]
    latency: Sequence[Latency]
    peak_memory_bytes: int
    seed: int
    seconds: float
    conditions: Conditions
    config: Mapping[str, Any]
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScores:
    """What a model scores, and on what.

    Args:
        task: "tag".
        dataset: "conll2002"; "" for a model that was only measured.
        split: "test".
        main: "entity_f1", the key of the main score.
        scores: {"entity_f1": 0.81, "ece": 0.02}; {} for a model that was only measured.
        details: {"per_label": ...}, tables for the report.
        items: counts per example behind the main score; see `tasks.metrics`.
    """

    task: str
    dataset: str
    split: str
    main: str
    scores: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs, and under which conditions that was measured."""

    params: int
    size_bytes: int
    macs: Mapping[str, int]
    conditions: Conditions
    latency: Sequence[Latency] = ()
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a record comes from.

    Args:
        key: fingerprint of everything that the run depends on.
        study: "reviews".
        run: "student-distilled-s0".
        role: "teacher", "distilled", "finetuned", "baseline", "exported", "measured", ...
        seed: 0.
        seconds: 312.5 of training.
        config: {"model": ...}, the settings of the run.
        code: "3f2a9c1d8e70", the commit.
        details: {"dev": {"entity_f1": 0.8}}, whatever else explains the numbers.
    """

    key: str
    study: str
    run: str
    role: str
    seed: int
    seconds: float
    config: Mapping[str, Any]
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)


def record_of(model: str, scores: SplitScores, cost: Cost, provenance: Provenance) -> Record:
    """Return the Record of a model; the only place that builds one, but for reading a file.

    Args:
        model: its name.
        scores: what it scores; their details win over those of the provenance.
        cost: what it costs.
        provenance: where it comes from.
    """
    parts: dict[str, Any] = {}
    for part in (scores, cost, provenance):
        parts |= {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}

    details = {**provenance.details, **scores.details}
    return Record(model=model, **parts | {"details": details})


def read_records(path: Path | str) -> list[Record]:
    """Read the records of a .jsonl file, or of every `record.jsonl` below a study's folder.

    Of several records of one key the last counts, in its own place.

    Raises:
        DataError: the file is missing, or a line is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"no records at {path}: give a study's folder or a .jsonl file of records")

    # the later of two records of one key takes its own place, not that of the first
    files = sorted(path.rglob(RECORD_FILE)) if path.is_dir() else [path]
    records: dict[str, Record] = {}
    with uncollected():
        for file in files:
            for record in _lines(file):
                records.pop(record.key, None)
                records[record.key] = record

    return list(records.values())


def write_records(path: Path | str, records: Iterable[Record]) -> None:
    """Write a .jsonl file of records, replaced as a whole.

    Raises:
        DataError: a number is not finite.
    """
    text = "".join(record_line(record) + "\n" for record in records)
    write_text(path, text)


def check_record_path(path: Path) -> None:
    """Raise ConfigError when no record can be kept in a file; nothing is made."""
    try:
        # The folders above that are not there yet are made in the first that is.
        place = next(folder for folder in path.absolute().parents if folder.exists())
        reason = "" if os.access(place, os.W_OK) else "it is not yours to write"
        reason = reason if place.is_dir() else os.strerror(errno.ENOTDIR)
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        what = f"records cannot be kept in {path.parent} ({reason})"
        raise ConfigError(f"{what}: give another folder")


def append_record(path: Path | str, record: Record) -> None:
    """Add one record to a .jsonl file, created when missing; safe for several processes."""
    # a record that cannot be written leaves the file alone
    path = Path(path)
    line = record_line(record) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)

    with locked(path):
        text = path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):  # a line that an editor left open
            text += "\n"
        write_text(path, text + line)


def replace_records(path: Path | str, new: Sequence[Record]) -> None:
    """Write records of a .jsonl file again in the places of those of their keys.

    Those that are not there yet come last; safe for several processes.
    """
    path = Path(path)
    lines = {record.key: record_line(record) for record in new}
    with locked(path):
        text = path.read_text(encoding="utf-8")
        kept: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                key = _key_of(line, f"{path}:{number}")
                kept.pop(key, None)  # the last record of a key is the one that counts
                kept[key] = lines.get(key, line)
        write_text(path, "".join(line + "\n" for line in (kept | lines).values()))


def record_line(record: Record) -> str:
    """Write a record as one line of JSON; raise DataError when a number is not finite."""
    try:
        return json.dumps(
            record_to_json(record),
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_plain,
        )
    except ValueError as error:
        what = f"record of '{record.run}' holds a number that is not finite: {error}"
        raise DataError(what) from error


def record_to_json(record: Record) -> dict[str, Any]:
    """Make the documented object of `--json`, with latencies and conditions as nested objects."""
    shallow = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {
        **shallow,
        "latency": [dataclasses.asdict(latency) for latency in record.latency],
        "conditions": dataclasses.asdict(record.conditions),
        "items": [list(item) for item in record.items],
    }


def record_from_json(data: Any, where: str = "record") -> Record:
    """Make the record of a JSON object.

    Args:
        data: what `record_to_json` returns.
        where: names the object in messages.

    Raises:
        DataError: a field is missing, unknown or of another kind.
    """
    # First the names, all that is wrong at once, then the kinds of what they hold.
    check = functools.partial(check_names, error=DataError, remedy=_REMEDY)
    check(Record, data, where)
    check(Conditions, data["conditions"], f"{where}.conditions")
    latencies = data["latency"] if isinstance(data["latency"], list | tuple) else []
    for part in latencies:
        check(Latency, part, f"{where}.latency")
        check(Conditions, part["conditions"], f"{where}.latency.conditions")
    model = line_model(Record, details=_Details, items=list)
    check_line(model, data, where, DataError, remedy=_REMEDY)
    _check_items(data.get("items", []), where)

    latency = [{**each, "conditions": Conditions(**each["conditions"])} for each in latencies]
    nested = {
        "conditions": Conditions(**data["conditions"]),
        "latency": tuple(Latency(**each) for each in latency),
        "items": tuple(map(tuple, data.get("items", ()))),
    }
    return Record(**{**data, **nested})


class _Details(BaseModel):
    """What reports read of a record's details; all else may be anything."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    dev: dict[str, float] = {}
    labels: list[str] = []
    per_label: dict[str, dict[str, float]] = {}
    confusion: list[list[Annotated[int, Field(ge=0)]]] = []
    teacher: str | None = None
    candidate: str | None = None
    of: str | None = None
    drop: float | None = None
    stable: bool | None = None
    int8_products: int | None = None
    products: int | None = None
    tokens: int | None = None


def _check_items(items: list[Any], where: str) -> None:
    """Raise DataError unless the counts of all examples are as many; ten thousands, so quickly."""
    if not items:
        return
    is_table = set(map(type, items)) == {list} and len(set(map(len, items))) == 1
    if is_table and set(map(type, chain.from_iterable(items))) == {int}:
        counts = set(chain.from_iterable(items))
        if min(counts) >= 0 and max(counts) < LARGEST:
            return
    raise DataError(f"{where}: key 'items' must hold as many counts for every example: {_REMEDY}")


def _lines(file: Path) -> Iterator[Record]:
    """Yield the records of a file; raise DataError with the line of one that is damaged."""
    # A file that another process has only just made is empty.
    lines = open_text(file) if file.stat().st_size else ()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue

        where = f"{file}:{number}"
        try:
            data = parse_json(line)
        except MalformedError as error:
            raise DataError(f"{where} is not a JSON object ({error}): {_REMEDY}") from error

        yield record_from_json(data, where)


def _key_of(line: str, where: str) -> str:
    """Return the key of a line of records; raise DataError when it has none."""
    try:
        return str(parse_json(line)["key"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is not a record: delete the line to go on") from error


def _plain(value: Any) -> Any:
    """Turn what JSON does not know, such as numbers of numpy, into what it does."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
