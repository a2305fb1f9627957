"""Intervals by paired bootstrap over test items and seeds (Efron & Tibshirani 1993, chapter 13).

A draw takes test items with replacement, the same items on both sides, and seeds with replacement;
the score of a side is the mean over its drawn seeds of the main score on the drawn items. What is
resampled are the additive counts of `tasks.metrics.items`, so any main score that is a function of
their sum works.
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
    """Return the difference a - b of the main score and its 95 % percentile interval.

    Sides with as many seeds as each other are drawn with the same seeds (give them in the same
    order); otherwise each side draws its own.

    Args:
        items_a: counts of one side, [seeds, examples, K].
        items_b: counts of the other, of the same examples.
        main: key of the main score.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        Mean over seeds, low end, high end, as ratios.

    Raises:
        DataError: the test items differ in number, or there are none.
    """
    a, b = _counts(items_a), _counts(items_b)

    # A paired comparison is of item with item: other test sets cannot be paired.
    if a.shape[1:] != b.shape[1:]:
        raise DataError(
            f"counts of {a.shape[1:]} and {b.shape[1:]} test items: "
            "both sides need the same test set"
        )
    generator = np.random.default_rng(seed)

    # Both sides are scored on the same drawn items: their common noise cancels.
    both = np.concatenate([a, b])  # [S, N, K]
    sums = _resampled_sums(both, draws, generator)
    scores = np.concatenate([scores_of_items(main, part) for part in sums])  # [draws, S]

    # Seeds are drawn too; runs of equal seed stay together where both sides have them.
    seeds_a = generator.integers(len(a), size=(draws, len(a)))
    seeds_b = seeds_a if len(a) == len(b) else generator.integers(len(b), size=(draws, len(b)))
    mean_a = np.take_along_axis(scores[:, : len(a)], seeds_a, axis=1).mean(axis=1)  # [draws]
    mean_b = np.take_along_axis(scores[:, len(a) :], seeds_b, axis=1).mean(axis=1)

    # The reported difference is the observed one; the samples only give its interval.
    low, high = np.percentile(mean_a - mean_b, [2.5, 97.5])
    observed = scores_of_items(main, both.sum(axis=1))  # [S]
    mean = observed[: len(a)].mean() - observed[len(a) :].mean()
    return float(mean), float(low), float(high)


def interval(items: Items, main: str, *, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return a 95 % percentile interval of the mean main score over seeds.

    One side is drawn as in `paired_difference`.

    Raises:
        DataError: there are no test items.
    """
    counts = _counts(items)
    generator = np.random.default_rng(seed)

    # The same two sources of chance as for a difference: test items, then seeds.
    sums = _resampled_sums(counts, draws, generator)
    scores = np.concatenate([scores_of_items(main, part) for part in sums])  # [draws, S]
    seeds = generator.integers(len(counts), size=(draws, len(counts)))

    low, high = np.percentile(np.take_along_axis(scores, seeds, axis=1).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _counts(items: Items) -> np.ndarray:
    """Check counts and return them as an array [seeds, examples, K]."""
    # Seeds of one side were tested on the same items, or their sums mean nothing.
    sizes = {len(side) for side in items}
    if len(sizes) != 1 or 0 in sizes:
        raise DataError(
            f"every seed needs counts of the same test items, at least one: found {sorted(sizes)}"
        )
    return np.asarray(items, dtype=np.float64)


def _resampled_sums(
    counts: np.ndarray, draws: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Draw items with replacement, the same for all S, and add up their counts.

    Args:
        counts: of every item, [S, N, K].
        draws: samples in all.
        generator: draws the items.

    Returns:
        Sums [block, S, K]; blocks keep the memory bounded.
    """
    # Blocks of draws, as all of them at once would be draws x items numbers.
    size = counts.shape[1]
    block = max(1, min(draws, _BLOCK // size))

    sums = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)

        # How often each item was drawn, by one count over all rows of the block.
        drawn = generator.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
        times = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        sums.append(np.einsum("dn,snk->dsk", times.astype(np.float64), counts, optimize=True))
    return sums
