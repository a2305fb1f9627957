"""Time per call, paired: candidates take turns (A B A B), so that a busy machine slows all of them alike.

Three protocols, never mixed in one column:

    real         one test text after another, batch 1, from the text to the labels
    real-model   the same texts, the model alone on encoded input
    papers-512   one row of 512 random ids, batch 1, no padding mask: 10 warm-up calls, then timed ones

Nothing is filtered: the published files drop outliers at a modified z-score of 0.75, which keeps the central
calls only, and time a GPU without waiting for it. Here the median and the 95th percentile are of all timed
calls, and `synchronize` is called inside the timed part.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from destila.errors import ConfigError
from destila.records import Conditions, Latency

REAL, REAL_MODEL, PAPERS = "real", "real-model", "papers-512"
PAPERS_LENGTH, PAPERS_WARMUP = 512, 10

Call = Callable[[], object]


def time_paired(
    calls: Mapping[str, Sequence[Call]],
    *,
    warmup: int,
    repeats: int,
    synchronize: Call | None = None,
) -> dict[str, np.ndarray]:
    """Milliseconds [repeats, N] of every candidate's N calls, timed in turn: A1 B1 A2 B2 ...

    calls: the same number of calls for each candidate; call i of every candidate does the same work.
    warmup: untimed calls of each candidate before. synchronize: waits for an accelerator. Raises ConfigError.
    """
    sizes = {name: len(sequence) for name, sequence in calls.items()}
    if not sizes or min(sizes.values()) < 1 or len(set(sizes.values())) > 1:
        raise ConfigError(
            f"paired timing needs the same number of calls for each candidate, at least one: {sizes}"
        )
    if repeats < 1:
        raise ConfigError(f"repeats = {repeats}: at least one pass must be timed")
    size = next(iter(sizes.values()))
    for turn in range(warmup):
        for sequence in calls.values():
            _time(sequence[turn % size], synchronize)
    found = {name: np.empty((repeats, size)) for name in calls}
    with _no_garbage_collection():
        for turn in range(repeats):
            for position in range(size):
                for name, sequence in calls.items():
                    found[name][turn, position] = _time(sequence[position], synchronize)
    return found


def summarise(protocol: str, milliseconds: np.ndarray, conditions: Conditions) -> Latency:
    """The median and 95th percentile of timed calls, divided by the batch so that they are per example."""
    per_example = np.asarray(milliseconds, dtype=np.float64).ravel() / conditions.batch
    return Latency(
        protocol=protocol,
        median_ms=float(np.median(per_example)),
        p95_ms=float(np.percentile(per_example, 95)),
        conditions=conditions,
    )


def speed_up(
    baseline: np.ndarray, candidate: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """How many times faster a candidate is: (ratio of medians, low, high), a 95 % paired-bootstrap interval.

    baseline, candidate: milliseconds of the same shape from one `time_paired`; pairs are resampled together.
    Raises ConfigError when the shapes differ.
    """
    if baseline.shape != candidate.shape:
        raise ConfigError(
            f"paired times have shapes {baseline.shape} and {candidate.shape}: time them together"
        )
    pairs = np.stack([baseline.ravel(), candidate.ravel()])  # [2, N]
    generator = np.random.default_rng(seed)
    ratios = []
    block = max(1, 2_000_000 // pairs.shape[1])  # bounds the memory of one block of draws
    for start in range(0, draws, block):
        chosen = generator.integers(
            pairs.shape[1], size=(min(block, draws - start), pairs.shape[1])
        )
        medians = np.median(pairs[:, chosen], axis=2)  # [2, draws]
        ratios.append(medians[0] / medians[1])
    low, high = np.percentile(np.concatenate(ratios), [2.5, 97.5])
    slow, fast = np.median(pairs, axis=1)
    return float(slow / fast), float(low), float(high)


@contextmanager
def using_threads(
    count: int, read: Callable[[], int], write: Callable[[int], object]
) -> Iterator[int]:
    """Runs a block with `count` threads of a backend and restores them; yields the number really in use.

    read, write: the backend's functions, e.g. `torch.get_num_threads`, `torch.set_num_threads`.
    """
    before = read()
    write(count)
    try:
        yield read()
    finally:
        write(before)


def _time(call: Call, synchronize: Call | None) -> float:
    start = time.perf_counter()
    call()
    if synchronize is not None:
        synchronize()
    return (time.perf_counter() - start) * 1000


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
