"""The mode for a machine: every candidate and thread count, timed in turns for some seconds."""

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
    folder: Path,
    allowed: Sequence[ExportCandidate],
    windows: Sequence[TokenWindow],
    seconds: float,
) -> dict[str, Any]:
    """Return the fastest candidate and thread count, text after text, and all that was tried.

    Args:
        folder: of the export.
        allowed: the candidates that may win.
        windows: what is timed; the first of them, as many as a turn has.
        seconds: how long timing takes, at least.

    Returns:
        `name`, `threads`, `ms` (median over turns of the mean per window), `machine`, `versions`,
        `turns`, `windows`, `tokens`, and `tried` with the same for every other one.
    """
    # A session for each candidate with each number of threads.
    sessions: dict[tuple[str, int], Session] = {}
    for candidate in allowed:
        for threads in thread_counts(processors.threads()):
            sessions[candidate.name, threads] = open_session(
                folder / candidate.file, threads=threads, kind=candidate.kind
            )
    inputs = [feeds(*window) for window in windows[:_TEXTS]]

    # They take turns, so that a busy moment slows all of them; only the first turn warms up.
    names = {key: f"{key[0]} {key[1]}" for key in sessions}
    calls = {names[key]: [partial(_turn, session, inputs)] for key, session in sessions.items()}
    turns: list[dict[str, np.ndarray]] = []
    start = time.perf_counter()
    while len(turns) < _LEAST or time.perf_counter() - start < seconds:
        turns.append(time_paired(calls, warmup=0 if turns else 1, repeats=1, settle=0))

    # Milliseconds per window of every turn, [turns].
    times = {
        key: np.array([turn[name].item() for turn in turns]) / len(inputs)
        for key, name in names.items()
    }
    medians = {key: float(np.median(values)) for key, values in times.items()}
    ranked = sorted(medians, key=lambda key: medians[key])
    best = ranked[0]
    tried = [
        {
            "name": key[0],
            "threads": key[1],
            "ms": medians[key],
            "p95_ms": float(np.percentile(times[key], 95)),
        }
        for key in ranked
    ]
    return {
        "name": best[0],
        "threads": best[1],
        "ms": medians[best],
        "machine": f"{machine.cpu()} ({machine.instructions()})",
        "versions": machine.versions(),
        "turns": len(turns),
        "windows": len(inputs),
        "tokens": float(np.mean([len(window[0]) for window in windows[:_TEXTS]])),
        "tried": tried,
    }


def thread_counts(available: int) -> list[int]:
    """Return the numbers of threads that are tried: powers of two, and all."""
    powers = (2**i for i in range(available.bit_length()))
    return sorted({available, *(count for count in powers if count <= available)})


def _turn(session: Session, inputs: Sequence[dict[str, np.ndarray]]) -> None:
    for each in inputs:
        session(each)
