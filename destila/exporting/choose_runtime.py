"""The mode for a machine: every candidate and thread count, timed in turns on the user's own texts for some seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from destila import cpu as processors
from destila.exporting.build import ExportCandidate
from destila.inference.session import Session, TokenWindow, feeds, open_session
from destila.measuring import machine
from destila.measuring.latency import time_paired

_TEXTS = 40
"""Windows of one turn: many, since threads of the candidate before go on spinning for a moment."""

_LEAST = 3
"""Timed turns of each candidate, however few seconds are given."""


def choose_runtime(
    folder: Path, allowed: Sequence[ExportCandidate], windows: Sequence[TokenWindow], seconds: float
) -> dict[str, Any]:
    """The fastest of the candidates, one text after another: `{"name", "threads", "ms", "machine", "tried"}`.

    ms: median over turns of the mean per window. windows: what is timed; the first of them, as many as a turn has.
    """
    counts = thread_counts(processors.available())
    sessions = {
        (c.name, n): open_session(folder / c.file, threads=n, kind=c.kind)
        for c in allowed
        for n in counts
    }
    given = [feeds(*window) for window in windows[:_TEXTS]]
    calls = {
        f"{name} {n}": [partial(_turn, session, given)] for (name, n), session in sessions.items()
    }
    start, warmup = time.perf_counter(), 1
    turns: list[dict[str, np.ndarray]] = []
    while len(turns) < _LEAST or time.perf_counter() - start < seconds:
        turns.append(time_paired(calls, warmup=warmup, repeats=1))
        warmup = 0
    times = {
        key: np.array([turn[f"{key[0]} {key[1]}"].item() for turn in turns]) / len(given)
        for key in sessions
    }
    medians = {key: float(np.median(found)) for key, found in times.items()}
    ranked = sorted(medians, key=lambda key: medians[key])
    name, threads = ranked[0]
    return {
        "name": name,
        "threads": threads,
        "ms": medians[name, threads],
        "machine": f"{machine.cpu()} ({machine.instructions()})",
        "versions": machine.versions(),
        "turns": len(turns),
        "windows": len(given),
        "tokens": float(np.mean([len(window[0]) for window in windows[:_TEXTS]])),
        "tried": [
            {"name": c, "threads": n, "ms": medians[c, n], "p95_ms": _p95(times[c, n])}
            for c, n in ranked
        ],
    }


def thread_counts(available: int) -> list[int]:
    """The numbers of threads that are tried: powers of two, and all."""
    return sorted({available, *(2**i for i in range(available.bit_length()) if 2**i <= available)})


def _turn(session: Session, given: Sequence[dict[str, np.ndarray]]) -> None:
    for inputs in given:
        session(inputs)


def _p95(times: np.ndarray) -> float:
    return float(np.percentile(times, 95))
