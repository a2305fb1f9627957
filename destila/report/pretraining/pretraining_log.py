"""The logs of pre-trainings: `log.jsonl` in the folder of a run, or in those directly below it.

    {"step", "stage", "tokens", "seconds", "loss", "parts": {...}, "lr"}          steps
    {"step", "tokens", "seconds", "evaluation": {"mlm_loss", "bits_per_character", ...}}
    {"step", "tokens", "seconds", "event": "..."}                 returns after a divergence

A recipe that makes several runs has them below its folder. Scores are those of
`pretraining/heldout.py` and `pretraining/probe.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.files import read_log
from destila.report.runs import LOG_FILE

LogLine = dict[str, Any]

PRETRAIN_SCORES = {
    "mlm_loss": "loss",
    "bits_per_character": "bits per character",
    "mlm_accuracy": "tokens found",
    "sop_accuracy": "sentence order",
    "order_gain": "order gain",
    "pos_accuracy": "POS probe",
    "entity_f1": "entity probe",
}
"""Scores that are shown, in this order, by the names they have in a log."""


@dataclass(frozen=True, slots=True)
class PretrainLog:
    """A run's log: its steps, its evaluations and its events, in order.

    An evaluation has its scores beside step, tokens and seconds.
    """

    name: str
    steps: tuple[LogLine, ...]
    evaluations: tuple[LogLine, ...]
    events: tuple[LogLine, ...]

    def series(self, key: str, *, over: str = "tokens") -> list[tuple[float, float]]:
        """List the finite values of a score, or of a key of the steps, wherever there is one.

        Args:
            key: such as "order_gain" or "loss".
            over: "tokens" or "seconds", which stand beside each value.
        """
        # Scores are in evaluations, everything else in steps.
        lines = self.evaluations if key in PRETRAIN_SCORES else self.steps
        return [(line[over], line[key]) for line in lines if math.isfinite(line.get(key, math.nan))]

    def latest(self, key: str) -> float | None:
        """Return the last value of a score; None when it was never measured."""
        values = self.series(key)
        return values[-1][1] if values else None

    @property
    def last(self) -> LogLine:
        """The last line of all, which says how far the run is."""
        return max((*self.steps, *self.evaluations), key=lambda line: float(line["tokens"]))


def read_pretrain_logs(folder: Path) -> list[PretrainLog]:
    """Read the runs in a folder, or in those directly below it, by name; [] where there are none.

    A line that a kill tore is left out.
    """
    # A single run has its log in the folder itself.
    paths = [folder / LOG_FILE, *sorted(folder.glob(f"*/{LOG_FILE}"))]
    logs = [_read(path) for path in paths if path.is_file()]
    return [log for log in logs if log.steps or log.evaluations]


def _read(path: Path) -> PretrainLog:
    """Read the log of one run."""
    # A line that lacks one of these was cut off, or is of another kind of run.
    lines = [line for line in read_log(path) if {"step", "tokens", "seconds"} <= line.keys()]
    return PretrainLog(
        name=path.parent.name,
        steps=tuple(line for line in lines if "loss" in line),
        evaluations=tuple(line | line["evaluation"] for line in lines if "evaluation" in line),
        events=tuple(line for line in lines if "event" in line),
    )
