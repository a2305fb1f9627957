"""Time per call, paired: candidates take turns (A B A B), so that a busy machine slows all alike.

A turn is BLOCK calls behind SETTLE milliseconds of untimed ones. Without those a small model was
timed with the weights of a large one in the processor's caches, which no stream of texts meets: an
int8 tagger of three layers took twice its time beside its teacher.

Three protocols, never mixed in one column:

    real         one test text after another, batch 1, from the text to the labels
    real-model   the same texts, the model alone on encoded input
    papers-512   one row of 512 random ids, batch 1, no padding mask

Nothing is filtered: the published files drop outliers at a modified z-score of 0.75, which keeps
the central calls only, and time a GPU without waiting for it. Here the median and the 95th
percentile are of all timed calls, and `synchronize` is called inside the timed part.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from destila.errors import ConfigError
from destila.records import Conditions, Latency

REAL, REAL_MODEL, PAPERS = "real", "real-model", "papers-512"
PAPERS_LENGTH = 512

Call = Callable[[], object]

BLOCK = 20
"""Timed calls of a candidate in a turn."""

SETTLE = 40.0
"""Milliseconds of untimed calls, one at least, before them: longer than the 35 that a runtime's
threads wait for work after a call of the candidate before."""

_DRAWN = 2_000_000
"""Numbers of one block of bootstrap draws, which bounds its memory."""


def time_paired(
    calls: Mapping[str, Sequence[Call]],
    *,
    warmup: int,
    repeats: int,
    synchronize: Call | None = None,
    settle: float | None = None,
) -> dict[str, np.ndarray]:
    """Return milliseconds [repeats, N] of every candidate's N calls, timed in turns of BLOCK calls.

    Args:
        calls: the same number of calls for each candidate; call i of all does the same work.
        warmup: untimed calls of each candidate before.
        repeats: how often all the calls are timed.
        synchronize: waits for an accelerator; None: there is none.
        settle: milliseconds of untimed calls before each turn; None: SETTLE; 0: none.

    Raises:
        ConfigError: the numbers of calls differ, or nothing is to be timed.
    """
    sizes = {name: len(sequence) for name, sequence in calls.items()}
    if not sizes or min(sizes.values()) < 1 or len(set(sizes.values())) > 1:
        raise ConfigError(
            "paired timing needs the same number of calls for each candidate, at least one: "
            f"{sizes}"
        )
    if repeats < 1:
        raise ConfigError(f"repeats = {repeats}: at least one round must be timed")

    # Each candidate warms up on its first calls, again from the start where it has few.
    size = next(iter(sizes.values()))
    for turn in range(warmup):
        for sequence in calls.values():
            _time(sequence[turn % size], synchronize)

    settle = SETTLE if settle is None else settle

    # Turns are short, so that a busy moment hits all candidates.
    times = {name: np.empty(repeats * size) for name in calls}
    with _no_garbage_collection():
        for start in range(0, repeats * size, BLOCK):
            places = range(start, min(start + BLOCK, repeats * size))
            for name, sequence in calls.items():
                _settle([sequence[place % size] for place in places], settle, synchronize)
                for place in places:
                    times[name][place] = _time(sequence[place % size], synchronize)
    return {name: each.reshape(repeats, size) for name, each in times.items()}


def summarise(protocol: str, milliseconds: np.ndarray, conditions: Conditions) -> Latency:
    """Return the median and 95th percentile of timed calls, per example.

    Args:
        protocol: its name.
        milliseconds: of every call, in any shape.
        conditions: of the measurement; its batch divides the times.
    """
    per_example = np.asarray(milliseconds, dtype=np.float64).ravel() / conditions.batch
    return Latency(
        protocol=protocol,
        median_ms=float(np.median(per_example)),
        p95_ms=float(np.percentile(per_example, 95)),
        conditions=conditions,
    )


def paired_speed_up(
    baseline: np.ndarray, candidate: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Return how many times faster a candidate is: (ratio of medians, low, high).

    low and high are the 95 % interval of a paired bootstrap: pairs are resampled together.

    Args:
        baseline: milliseconds from one `time_paired`.
        candidate: milliseconds of the same shape from the same.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        ConfigError: the shapes differ.
    """
    if baseline.shape != candidate.shape:
        raise ConfigError(
            f"paired times have shapes {baseline.shape} and {candidate.shape}: time them together"
        )
    pairs = np.stack([baseline.ravel(), candidate.ravel()])  # [2, N]
    size = pairs.shape[1]

    # A block of draws at a time: all at once would need gigabytes.
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWN // size)
    ratios = []
    for start in range(0, draws, block):
        chosen = generator.integers(size, size=(min(block, draws - start), size))  # [draws, N]
        medians = np.median(pairs[:, chosen], axis=2)  # [2, draws]
        ratios.append(medians[0] / medians[1])

    low, high = np.percentile(np.concatenate(ratios), [2.5, 97.5])
    slow, fast = np.median(pairs, axis=1)
    return float(slow / fast), float(low), float(high)


def ratios_to_first(
    protocol: str, names: Sequence[str], times: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """Return how many times faster each model is than the first one, with the interval.

    Args:
        protocol: its name.
        names: of the models.
        times: milliseconds of each, of one `time_paired`.
    """
    ratios = []
    for name, own in zip(names[1:], times[1:], strict=True):
        ratio, low, high = paired_speed_up(times[0], own)
        compared = {"protocol": protocol, "model": name, "baseline": names[0]}
        ratios.append({**compared, "speed_up": ratio, "low": low, "high": high})
    return ratios


@contextmanager
def using_threads(
    count: int, read: Callable[[], int], write: Callable[[int], object]
) -> Iterator[int]:
    """Run a block with `count` threads of a backend and restore them; yield the number in use.

    Args:
        count: threads to ask for.
        read: the backend's function, such as `torch.get_num_threads`.
        write: the backend's function, such as `torch.set_num_threads`.
    """
    before = read()
    write(count)
    try:
        yield read()
    finally:
        write(before)


def _settle(calls: Sequence[Call], milliseconds: float, synchronize: Call | None) -> None:
    """Make calls, one after another, until they have taken so long; none for 0."""
    number = 0
    while milliseconds > 0:
        milliseconds -= _time(calls[number % len(calls)], synchronize)
        number += 1


def _time(call: Call, synchronize: Call | None) -> float:
    """Return the milliseconds of a call, the wait for an accelerator included."""
    start = time.perf_counter()
    call()
    if synchronize is not None:
        synchronize()
    return (time.perf_counter() - start) * 1000


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()  # a caller may have switched it off
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
