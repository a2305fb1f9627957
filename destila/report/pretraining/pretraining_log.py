"""The logs of pre-trainings, read: `log.jsonl` in the folder of a run, or in those below it when a recipe made several.

    {"step", "stage", "tokens", "seconds", "loss", "parts": {...}, "lr"}          steps
    {"step", "tokens", "seconds", "evaluation": {"mlm_loss", "bits_per_character", ...}}
    {"step", "tokens", "seconds", "event": "..."}                                 what happened: returns after a divergence

Scores are those of `pretraining/heldout.py` and `pretraining/probe.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.files import read_log
from destila.report.runs import LOG_FILE

Line = dict[str, Any]

SCORES = {
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
class Trained:
    """A run's log: its steps, its evaluations (each with its scores beside step, tokens and seconds), its events."""

    name: str
    steps: tuple[Line, ...]
    evaluations: tuple[Line, ...]
    events: tuple[Line, ...]

    def series(self, key: str, *, over: str = "tokens") -> list[tuple[float, float]]:
        """(tokens or seconds, value) of a score wherever it was measured, or of a key of the steps; finite ones."""
        lines = self.evaluations if key in SCORES else self.steps
        return [(line[over], line[key]) for line in lines if math.isfinite(line.get(key, math.nan))]

    def latest(self, key: str) -> float | None:
        """The last value of a score; None when it was never measured."""
        values = self.series(key)
        return values[-1][1] if values else None

    @property
    def last(self) -> Line:
        """The last line of all, which says how far the run is."""
        return max((*self.steps, *self.evaluations), key=lambda line: float(line["tokens"]))


def read(folder: Path) -> list[Trained]:
    """The runs in a folder, or in those directly below it, by name; [] where there are none.

    A line that a kill tore is left out.
    """
    paths = [
        path
        for path in (folder / LOG_FILE, *sorted(folder.glob(f"*/{LOG_FILE}")))
        if path.is_file()
    ]
    found = (_trained(path) for path in paths)
    return [run for run in found if run.steps or run.evaluations]


def _trained(path: Path) -> Trained:
    lines = [line for line in read_log(path) if {"step", "tokens", "seconds"} <= line.keys()]
    evaluations = tuple({**line, **line["evaluation"]} for line in lines if "evaluation" in line)
    return Trained(
        path.parent.name,
        tuple(line for line in lines if "loss" in line),
        evaluations,
        tuple(line for line in lines if "event" in line),
    )
