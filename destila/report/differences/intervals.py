"""Intervals over test items and seeds: what another test set and other seeds would have shown.

A score moves for three reasons: the seed, the test item, and what a seed does to one item. With S
seeds tested on the same N items these are the components of a two-way layout with random effects
(Scheffé 1959, chapter 7), and the variance of a mean over both is

    V_seeds + max(0, V_items - V_both)

with V_seeds = MS_seeds / SN, V_items = MS_items / SN, V_both = MS_rest / SN: seeds and items both
hold what is left, so it counts once. Few seeds say little about V_seeds, so its part has Student's
quantile and the items' part the normal one; the two are weighted by their variances, as Cochran and
Cox 1957 do, but in the exponent, which a simulation shows to be closer to 95 % (theirs is wider,
Satterthwaite's narrower). Scores that are no means, such as F1, are
taken apart into items by the jackknife (Tukey 1958): an item's pseudo-value is N times the score of
all items less N - 1 times that of the others.

Resampling three seeds, as a bootstrap would, takes their own range for the interval of all seeds,
and calls one difference in five real that is none (`tests/report/differences`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from destila.errors import DataError
from destila.tasks.metrics import scores_of_items

Items = Sequence[Sequence[Sequence[int]]] | np.ndarray
"""Counts [seeds, examples, K] of one side."""

_COVERED = 0.95
_MANY = 10_000.0
"""Degrees of freedom from which Student's distribution is the normal one."""


@dataclass(frozen=True, slots=True)
class _Spread:
    """Variances of one side's mean: by seeds, and by what a seed does to single items."""

    seeds: float
    both: float
    freedom: int


def paired_difference(items_a: Items, items_b: Items, main: str) -> tuple[float, float, float]:
    """Return the difference a - b of the main score and its 95 % interval.

    Sides with as many seeds as each other are compared seed by seed (give them in the same order);
    otherwise the seeds of each side vary for themselves. The seeds of a side with a single one are
    taken as fixed: its interval is over test items.

    Args:
        items_a: counts of one side, [seeds, examples, K].
        items_b: counts of the other, of the same examples.
        main: key of the main score.

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
    one, other = _pseudo_values(a, main), _pseudo_values(b, main)  # [S, N] each

    # What both sides share, items and seeds of equal number, cancels before anything varies.
    by_item = one.mean(axis=0) - other.mean(axis=0)  # [N]
    sides = [one - other] if len(one) == len(other) else [one, other]
    half = _half_width(by_item, sides)

    # The reported difference is the observed one; the pseudo-values only give its interval.
    mean = float(_observed(a, main).mean() - _observed(b, main).mean())
    return mean, mean - half, mean + half


def interval(items: Items, main: str) -> tuple[float, float]:
    """Return a 95 % interval of the mean main score over seeds; it ends at 0 and 1.

    Raises:
        DataError: there are no test items.
    """
    counts = _counts(items)
    values = _pseudo_values(counts, main)  # [S, N]
    half = _half_width(values.mean(axis=0), [values])
    mean = float(_observed(counts, main).mean())
    return max(0.0, mean - half), min(1.0, mean + half)


def _half_width(by_item: np.ndarray, sides: Sequence[np.ndarray]) -> float:
    """Return half of the 95 % interval of a mean over items and seeds.

    Args:
        by_item: what is averaged, over seeds already, [N].
        sides: pseudo-values whose seeds vary for themselves, [S, N] each.
    """
    spreads = [_spread(side) for side in sides if len(side) > 1]
    of_items = _variance_of_mean(by_item) - sum(spread.both for spread in spreads)
    total = max(0.0, of_items) + sum(spread.seeds for spread in spreads)

    if total == 0:
        return 0.0

    # Each part has its own quantile: items are many, seeds few (Welch, where both sides have some).
    of_seeds = sum(spread.seeds for spread in spreads)
    share = of_seeds / total
    quantile: float = student_quantile(_MANY) ** (1 - share)
    if share > 0:
        unsure = sum(spread.seeds**2 / spread.freedom for spread in spreads)
        quantile *= student_quantile(of_seeds**2 / unsure) ** share
    return quantile * math.sqrt(total)


def _spread(values: np.ndarray) -> _Spread:
    """Return the variances of a mean over seeds and items, from pseudo-values [S, N], S > 1."""
    seeds, items = values.shape
    by_seed = values.mean(axis=1)  # [S]
    if items == 1:
        return _Spread(_variance_of_mean(by_seed), 0.0, seeds - 1)

    # What neither the seed nor the item explains.
    rest = values - by_seed[:, None] - values.mean(axis=0) + values.mean()
    square = float((rest**2).sum()) / ((seeds - 1) * (items - 1))
    return _Spread(_variance_of_mean(by_seed), square / (seeds * items), seeds - 1)


def _variance_of_mean(values: np.ndarray) -> float:
    """Estimate the variance of a mean of independent values; 0 for one."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def student_quantile(freedom: float) -> float:
    """Return how many standard errors hold 95 % of Student's distribution; 12.7 for one degree.

    With t = sqrt(freedom) tan(angle) its density is a power of the cosine, which is added up.
    """
    freedom = min(freedom, _MANY)
    angles = np.linspace(0, math.pi / 2, 20_001)[:-1]
    density = np.cos(angles) ** (freedom - 1)
    share = np.cumsum(density) - (density + density[0]) / 2  # trapezoids
    angle = float(np.interp(_COVERED * share[-1], share, angles))
    return math.sqrt(freedom) * math.tan(angle)


def _counts(items: Items) -> np.ndarray:
    """Check counts and return them as an array [seeds, examples, K]."""
    # Seeds of one side were tested on the same items, or their sums mean nothing.
    sizes = {len(side) for side in items}
    if len(sizes) != 1 or 0 in sizes:
        raise DataError(
            f"every seed needs counts of the same test items, at least one: found {sorted(sizes)}"
        )
    return np.asarray(items, dtype=np.float64)


def _observed(counts: np.ndarray, main: str) -> np.ndarray:
    """Return the main score of each seed, [S], from counts [S, N, K]."""
    return scores_of_items(main, counts.sum(axis=1))


def _pseudo_values(counts: np.ndarray, main: str) -> np.ndarray:
    """Return what each item adds to the score of each seed, [S, N], from counts [S, N, K]."""
    items = counts.shape[1]
    whole = counts.sum(axis=1, keepdims=True)  # [S, 1, K]
    without = scores_of_items(main, whole - counts)  # [S, N]
    values: np.ndarray = items * scores_of_items(main, whole) - (items - 1) * without
    return values
