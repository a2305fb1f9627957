"""Records of a study -> one row per model and role, averaged over seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from destila.measuring.load import timing_doubt
from destila.records import Conditions, Latency, Record
from destila.report.words import role_name

ROLES = ("teacher", "distilled", "finetuned", "exported", "baseline")
"""In the order in which reports show them."""

CROSS_VALIDATION = "cross-validation"
"""The split of records that were scored on all folds of a small set."""
_TESTS = ("test", CROSS_VALIDATION)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A model in one role: its records, one per seed, in the order of seeds.

    model: of an exported model the run it came from, without the seed, and the candidate:
    `tiny-distilled int8`.
    """

    role: str
    model: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record with the lowest seed, for what does not depend on the seed."""
        return self.records[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(record.seed for record in self.records)

    def mean(self, score: str) -> float | None:
        """Average a score over seeds; None when a record lacks it."""
        values = self._values(score)
        return fmean(values) if values else None

    def spread(self, score: str) -> float | None:
        """Return the standard deviation over seeds (n - 1); None with fewer than two."""
        values = self._values(score)
        return stdev(values) if len(values) > 1 else None

    @property
    def main(self) -> float:
        """Mean main score over seeds."""
        return self.mean(self.first.main) or 0.0

    def latency(self, protocol: str) -> Latency | None:
        """Return the medians over seeds of median and 95th percentile; None when not measured."""
        # Medians, as a busy machine spoils single seeds upwards.
        timed = [x for record in self.records for x in record.latency if x.protocol == protocol]
        if not timed:
            return None
        return Latency(
            protocol=protocol,
            median_ms=median(x.median_ms for x in timed),
            p95_ms=median(x.p95_ms for x in timed),
            conditions=timed[0].conditions,
        )

    @property
    def doubt(self) -> str:
        """Why the times of this row cannot be believed; "" where nothing speaks against them."""
        doubts = (timing_doubt(record) for record in self.records)
        return next((doubt for doubt in doubts if doubt), "")

    @property
    def peak_memory_bytes(self) -> int:
        """The highest peak over seeds; 0 when it was not measured."""
        return max(record.peak_memory_bytes for record in self.records)

    def _values(self, score: str) -> list[float]:
        """Return a score of every seed; [] when one lacks it."""
        values = [record.scores[score] for record in self.records if score in record.scores]
        return values if len(values) == len(self.records) else []


def name_of(row: ReportRow) -> str:
    """Name a row by model and role, as two rows may be one model in two roles."""
    return row.model if row.model == row.role else f"{row.model} ({role_name(row.role)})"


def group_rows(records: Iterable[Record]) -> list[ReportRow]:
    """Group records by role and model: teachers, students, baselines; the larger first.

    Where a study has records of several splits, those of "test" count, or those of all folds if it
    was last run with folds (an export is none of them: it was scored on a part of them). Where a
    model, role and seed was recorded more than once (the recipe was changed), the last counts, and
    seeds of a model with other settings than its last record's are not averaged with it.
    """
    # Dev records are of use only before anything was tested.
    every = list(records)
    kinds = [r.split for r in every if r.split in _TESTS and r.role != "exported"]
    split = kinds[-1] if kinds else "test"
    tested = [record for record in every if record.split == split] or every

    # Later records replace earlier ones of the same seed; the last one's settings hold for all.
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    settings = {}
    for record in tested:
        name = (record.role, model_of(record))
        groups.setdefault(name, {})[record.seed] = record
        settings[name] = record.config

    # Averaging over settings would hide what the last change did.
    rows = []
    for name, seeds in groups.items():
        alike = [seeds[seed] for seed in sorted(seeds) if seeds[seed].config == settings[name]]
        rows.append(ReportRow(*name, tuple(alike)))
    return sorted(rows, key=lambda row: (_rank(row.role), -row.first.params, -row.main))


def count_left_out(records: Iterable[Record]) -> int:
    """Count the exports that cannot stand beside models scored by cross-validation."""
    every = list(records)
    kinds = [r.split for r in every if r.split in _TESTS and r.role != "exported"]
    if not kinds or kinds[-1] != CROSS_VALIDATION:
        return 0
    return len({record.run for record in every if record.role == "exported"})


def model_of(record: Record) -> str:
    """Return the name under which a record's seeds are one model; see `ReportRow`."""
    if record.role != "exported":
        return record.model

    # The folder of an exported model names run, seed and candidate in one.
    run = re.sub(rf"-s{record.seed}(?=-|$)", "", record.run)
    candidate = str(record.details.get("candidate", ""))
    return run if run.endswith(candidate) else f"{run} {candidate}"


def protocols(rows: Sequence[ReportRow]) -> list[str]:
    """List the latency protocols that any row has, in order of first appearance."""
    records = [record for row in rows for record in row.records]

    # A dict keeps the order in which protocols were measured.
    return list(dict.fromkeys(x.protocol for record in records for x in record.latency))


def teacher_of(rows: Sequence[ReportRow]) -> ReportRow | None:
    """Return the teacher that the distilled students name, else the best one; None without any."""
    # A study may compare teachers; students are measured against their own.
    teachers = [row for row in rows if row.role == "teacher"]
    students = [record for row in rows if row.role == "distilled" for record in row.records]
    named = {record.details.get("teacher") for record in students}

    chosen = [row for row in teachers if row.model in named] or teachers
    return max(chosen, key=lambda row: row.main, default=None)


def speed_up(row: ReportRow, baseline: ReportRow | None, protocol: str) -> float | None:
    """Divide a baseline's time by a row's; None unless their conditions were the same."""
    if baseline is None:
        return None

    # Times of two machines, or of other threads, say nothing about the models.
    own, other = row.latency(protocol), baseline.latency(protocol)
    if own is None or other is None or not comparable(own.conditions, other.conditions):
        return None
    return other.median_ms / own.median_ms


def comparable(a: Conditions, b: Conditions) -> bool:
    """Tell whether times may be divided: same device, processor, threads and batch."""
    return (a.device, a.cpu, a.threads, a.batch) == (b.device, b.cpu, b.threads, b.batch)


def _rank(role: str) -> int:
    """Return the place of a role in a report; unknown ones come last."""
    return ROLES.index(role) if role in ROLES else len(ROLES)
