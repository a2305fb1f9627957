"""Intervals by paired bootstrap over test items and seeds (Efron & Tibshirani 1993, chapter 13).

A draw takes test items with replacement, the same items on both sides, and seeds with replacement; the score of
a side is the mean over its drawn seeds of the main score on the drawn items. What is resampled are the additive
counts of `tasks.metrics.items`, so any main score that is a function of their sum works.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from destila.errors import DataError
from destila.tasks.metrics import scores_of_items

Items = Sequence[Sequence[Sequence[int]]] | np.ndarray
"""Counts [seeds, examples, K] of one side."""

_BLOCK = 4_000_000  # drawn items held at once


def paired_difference(
    items_a: Items, items_b: Items, main: str, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """The difference a - b of the main score as (mean over seeds, low, high), a 95 % percentile interval.

    Sides with as many seeds as each other are drawn with the same seeds (give them in the same order); otherwise
    each side draws its own. Raises DataError when the test items differ in number or there are none.
    """
    a, b = _counts(items_a), _counts(items_b)
    if a.shape[1:] != b.shape[1:]:
        raise DataError(
            f"counts of {a.shape[1:]} and {b.shape[1:]} test items: both sides need the same test set"
        )
    generator = np.random.default_rng(seed)
    both = np.concatenate([a, b])  # [S, N, K]
    scores = np.concatenate(
        [scores_of_items(main, sums) for sums in _resampled_sums(both, draws, generator)]
    )
    seeds_a = generator.integers(len(a), size=(draws, len(a)))
    seeds_b = seeds_a if len(a) == len(b) else generator.integers(len(b), size=(draws, len(b)))
    drawn = [
        np.take_along_axis(side, seeds, axis=1).mean(axis=1)
        for side, seeds in _sides(scores, seeds_a, seeds_b)
    ]
    low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    observed = scores_of_items(main, both.sum(axis=1))
    return float(observed[: len(a)].mean() - observed[len(a) :].mean()), float(low), float(high)


def interval(items: Items, main: str, *, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """A 95 % percentile interval of the mean main score over seeds, drawn as `paired_difference` draws one side.

    Raises DataError when there are no test items.
    """
    counts = _counts(items)
    generator = np.random.default_rng(seed)
    scores = np.concatenate(
        [scores_of_items(main, sums) for sums in _resampled_sums(counts, draws, generator)]
    )
    seeds = generator.integers(len(counts), size=(draws, len(counts)))
    low, high = np.percentile(np.take_along_axis(scores, seeds, axis=1).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _counts(items: Items) -> np.ndarray:
    sizes = {len(side) for side in items}
    if len(sizes) != 1 or 0 in sizes:
        raise DataError(
            f"every seed needs counts of the same test items, at least one: found {sorted(sizes)}"
        )
    return np.asarray(items, dtype=np.float64)


def _resampled_sums(
    counts: np.ndarray, draws: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Sums [block, S, K] of counts [S, N, K] over items drawn with replacement, the same for all S."""
    size = counts.shape[1]
    block = max(1, min(draws, _BLOCK // size))
    sums = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
        times = np.bincount(drawn.ravel(), minlength=rows * size).reshape(
            rows, size
        )  # how often each item
        sums.append(np.einsum("dn,snk->dsk", times.astype(np.float64), counts, optimize=True))
    return sums


def _sides(
    scores: np.ndarray, seeds_a: np.ndarray, seeds_b: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    cut = seeds_a.shape[1]
    return (scores[:, :cut], seeds_a), (scores[:, cut:], seeds_b)
