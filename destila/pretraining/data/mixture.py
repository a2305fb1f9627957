"""The order in which stretches of several corpora are read: shuffled epochs, mixed by weight, without a random state.

Every epoch of a corpus is a permutation of its stretches by (seed, corpus, epoch). The next stretch comes from the
corpus that is furthest behind: the one with the fewest tokens drawn for its weight. Where a reader stands is one number
per corpus, how many stretches it has drawn; everything else follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ORDER = 1  # of the keys that draws depend on, so that no two kinds of draw share one


class Mixture:
    """Stretches of C corpora in an endless order; `places`, C numbers, are how many of each have been drawn."""

    def __init__(
        self, sizes: Sequence[np.ndarray], weights: Sequence[float] | None, *, seed: int
    ) -> None:
        """sizes: i64 [N] per corpus, tokens of its stretches. weights: of the tokens drawn; None: as many as exist."""
        self._sizes = sizes
        self._totals = [int(size.sum()) for size in sizes]
        self._weights = list(self._totals if weights is None else weights)
        self._seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # of the epoch read last

    def draw(
        self, places: Sequence[int], tokens: int
    ) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
        """The next stretches (corpus, number), `tokens` tokens or just more, and the places behind them."""
        now = list(places)
        drawn = [self._drawn(corpus, place) for corpus, place in enumerate(now)]
        found = []
        while tokens > 0:
            corpus = min(range(len(now)), key=lambda c: drawn[c] / self._weights[c])
            epoch, at = divmod(now[corpus], len(self._sizes[corpus]))
            stretch = int(self._order(corpus, epoch)[at])
            size = int(self._sizes[corpus][stretch])
            found.append((corpus, stretch))
            now[corpus] += 1
            drawn[corpus] += size
            tokens -= size
        return found, tuple(now)

    def epochs(self, places: Sequence[int]) -> tuple[float, ...]:
        """How often each corpus has been read."""
        return tuple(
            self._drawn(corpus, place) / total
            for corpus, (place, total) in enumerate(zip(places, self._totals, strict=True))
        )

    def _drawn(self, corpus: int, place: int) -> int:
        epoch, at = divmod(place, len(self._sizes[corpus]))
        read = self._sizes[corpus][self._order(corpus, epoch)[:at]]
        return epoch * self._totals[corpus] + int(read.sum())

    def _order(self, corpus: int, epoch: int) -> np.ndarray:
        known = self._orders.get(corpus)
        if known is None or known[0] != epoch:
            random = np.random.default_rng([_ORDER, self._seed, corpus, epoch])
            known = self._orders[corpus] = (epoch, random.permutation(len(self._sizes[corpus])))
        return known[1]
