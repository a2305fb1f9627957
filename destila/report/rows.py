"""Records of a study -> one row per model and role, averaged over seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from destila.records import Conditions, Latency, Record

ROLES = ("teacher", "distilled", "finetuned", "exported", "baseline")


@dataclass(frozen=True, slots=True)
class Row:
    """A model in one role: its records, one per seed, in the order of seeds.

    model: of an exported model the run it came from, without the seed, and the candidate: `tiny-distilled int8`.
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
        """Mean of a score over seeds; None when a record lacks it."""
        values = self._values(score)
        return fmean(values) if values else None

    def spread(self, score: str) -> float | None:
        """Standard deviation over seeds (n - 1); None with fewer than two."""
        values = self._values(score)
        return stdev(values) if len(values) > 1 else None

    @property
    def main(self) -> float:
        """Mean main score over seeds."""
        return self.mean(self.first.main) or 0.0

    def latency(self, protocol: str) -> Latency | None:
        """Median over seeds of the median and of the 95th percentile; None when it was not measured."""
        found = [x for record in self.records for x in record.latency if x.protocol == protocol]
        if not found:
            return None
        return Latency(
            protocol,
            median(x.median_ms for x in found),
            median(x.p95_ms for x in found),
            found[0].conditions,
        )

    @property
    def peak_memory_bytes(self) -> int:
        """The highest peak over seeds; 0 when it was not measured."""
        return max(record.peak_memory_bytes for record in self.records)

    def _values(self, score: str) -> list[float]:
        values = [record.scores[score] for record in self.records if score in record.scores]
        return values if len(values) == len(self.records) else []


def rows(records: Iterable[Record]) -> list[Row]:
    """One row per role and model: teachers first, then students and baselines, the larger first.

    Where a study has records of several splits, those of "test" count; where a model, role and seed was recorded
    more than once (the recipe was changed), the last; seeds of a model with other settings than its last record's
    are not averaged with it.
    """
    every = list(records)
    tested = [record for record in every if record.split == "test"] or every
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    for record in tested:
        groups.setdefault((record.role, model_of(record)), {})[record.seed] = record
    settings = {
        (record.role, model_of(record)): record.config for record in tested
    }  # the last record's
    found = []
    for name, seeds in groups.items():
        alike = [seeds[seed] for seed in sorted(seeds) if seeds[seed].config == settings[name]]
        found.append(Row(*name, tuple(alike)))
    return sorted(found, key=lambda row: (_rank(row.role), -row.first.params, -row.main))


def model_of(record: Record) -> str:
    """The name under which a record's seeds are one model; see `Row`."""
    if record.role != "exported":
        return record.model
    run, candidate = (
        re.sub(rf"-s{record.seed}(?=-|$)", "", record.run),
        str(record.details.get("candidate", "")),
    )
    return run if run.endswith(candidate) else f"{run} {candidate}"


def protocols(rows: Sequence[Row]) -> list[str]:
    """Latency protocols that any row has, in order of first appearance."""
    return list(
        dict.fromkeys(x.protocol for row in rows for record in row.records for x in record.latency)
    )


def teacher_of(rows: Sequence[Row]) -> Row | None:
    """The teacher that the distilled students name in `details["teacher"]`, else the best one; None without any."""
    teachers = [row for row in rows if row.role == "teacher"]
    named = {
        record.details.get("teacher")
        for row in rows
        if row.role == "distilled"
        for record in row.records
    }
    chosen = [row for row in teachers if row.model in named] or teachers
    return max(chosen, key=lambda row: row.main, default=None)


def speed_up(row: Row, baseline: Row | None, protocol: str) -> float | None:
    """How many times faster a row is than a baseline; None unless both were timed under the same conditions."""
    if baseline is None:
        return None
    ours, theirs = row.latency(protocol), baseline.latency(protocol)
    if ours is None or theirs is None or not comparable(ours.conditions, theirs.conditions):
        return None
    return theirs.median_ms / ours.median_ms


def comparable(a: Conditions, b: Conditions) -> bool:
    """True when times may be divided: same device, processor, threads and batch."""
    return (a.device, a.cpu, a.threads, a.batch) == (b.device, b.cpu, b.threads, b.batch)


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)
