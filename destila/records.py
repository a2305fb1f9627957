"""Records <-> JSON lines, one evaluated model per line.

A file of records only grows. Appending rewrites it under a lock and renames it, so that several runs can share
one file and a kill or a full disk leaves the old one. The last line with a key is the one that counts.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from destila.errors import ConfigError, DataError
from destila.files import locked, write_text

RECORD_FILE = "record.jsonl"
"""Name of the file inside a run folder."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and how a number was measured; a measured number without it cannot be constructed."""

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
    """Milliseconds per example: median and 95th percentile over `conditions.repeats` timed calls."""

    protocol: str
    median_ms: float
    p95_ms: float
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Record:
    """One evaluated model: what it is, what it scores, what it costs. Drawn tables read only these.

    scores: fixed keys, ratios 0-1 (accuracy, macro_f1, mcc, entity_f1, pos_accuracy, chunk_f1, ece, agreement).
    items: additive counts per test example behind the main score, for paired bootstraps; see `tasks.metrics`.
    key: fingerprint of everything the run depends on; a recorded key is not run again.
    """

    key: str
    study: str
    run: str
    role: str  # teacher | distilled | finetuned | baseline
    model: str
    task: str
    dataset: str
    split: str
    main: str  # the key of the task's main score
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
    details: Mapping[str, Any] = field(
        default_factory=dict
    )  # per_label, confusion, dev scores, notes
    items: Sequence[Sequence[int]] = ()


def read(path: Path | str) -> list[Record]:
    """Records of a .jsonl file, or of every `record.jsonl` below a study's folder; one per key, the last, in its place.

    Empty when a folder holds none. Raises DataError for a missing file or a damaged line.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"no records at {path}: give a study's folder or a .jsonl file of records")
    files = sorted(path.rglob(RECORD_FILE)) if path.is_dir() else [path]
    found: dict[str, Record] = {}
    for record in (record for file in files for record in _lines(file)):
        found.pop(record.key, None)  # a dict keeps the place of the first
        found[record.key] = record
    return list(found.values())


def write(path: Path | str, records: Iterable[Record]) -> None:
    """A .jsonl file of records, replaced as a whole; raises DataError when a number is not finite."""
    text = "".join(dumps(record) + "\n" for record in records)
    write_text(path, text)


def check(path: Path) -> None:
    """Raises ConfigError when no record can be kept in a file, before the work that makes one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(path.parent, os.W_OK) else "it is not yours to write"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise ConfigError(
            f"records cannot be kept in {path.parent} ({reason}): give another folder"
        )


def append(path: Path | str, record: Record) -> None:
    """Adds one record to a .jsonl file, which is created when missing; safe for several processes."""
    path = Path(path)
    line = dumps(record) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        text = path.read_text(encoding="utf-8")
        write_text(path, text + ("\n" if text and not text.endswith("\n") else "") + line)


def dumps(record: Record) -> str:
    """A record as one line of JSON; raises DataError when a number is not finite."""
    try:
        return json.dumps(
            to_json(record),
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_plain,
        )
    except ValueError as error:
        raise DataError(
            f"record of '{record.run}' holds a number that is not finite: {error}"
        ) from error


def to_json(record: Record) -> dict[str, Any]:
    """The documented object of `--json`: a record's fields, latencies and conditions as nested objects."""
    shallow = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {
        **shallow,
        "latency": [dataclasses.asdict(latency) for latency in record.latency],
        "conditions": dataclasses.asdict(record.conditions),
        "items": [list(item) for item in record.items],
    }


def from_json(data: Mapping[str, Any], where: str = "record") -> Record:
    """The record of a JSON object; raises DataError when a field is missing or unknown."""
    plain = dict(data)
    if "latency" in plain:
        plain["latency"] = tuple(_latency(part, f"{where}.latency") for part in plain["latency"])
    if "conditions" in plain:
        plain["conditions"] = _make(Conditions, plain["conditions"], f"{where}.conditions")
    if "items" in plain:
        plain["items"] = tuple(tuple(item) for item in plain["items"])
    made: Record = _make(Record, plain, where)
    return made


def _latency(part: Any, where: str) -> Latency:
    if isinstance(part, Mapping) and "conditions" in part:
        part = {**part, "conditions": _make(Conditions, part["conditions"], f"{where}.conditions")}
    made: Latency = _make(Latency, part, where)
    return made


def _make(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: expected an object, found {type(data).__name__}")
    known = {f.name: f for f in dataclasses.fields(kind)}
    has_default = {n for n, f in known.items() if not _required(f)}
    missing, unknown = known.keys() - has_default - data.keys(), data.keys() - known.keys()
    if missing or unknown:
        parts = [("lacks", sorted(missing)), ("has unknown", sorted(unknown))]
        raise DataError(
            f"{where} {' and '.join(f'{verb} {names}' for verb, names in parts if names)}"
        )
    return kind(**data)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _lines(file: Path) -> Iterator[Record]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            data = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where} is not a JSON object ({error.msg}): delete the line to go on"
            ) from error
        yield from_json(data, where)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
