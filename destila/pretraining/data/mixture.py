"""The order in which segments of several corpora are read: shuffled epochs, mixed by weight.

Every epoch of a corpus is a permutation of its segments by (seed, corpus, epoch). The next segment
comes from the corpus that is furthest behind: the one with the fewest tokens drawn for its weight.
There is no random state: where a reader stands is one number per corpus, how many segments it has
drawn, and everything else follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ORDER = 1  # of the keys that draws depend on, so that no two kinds of draw share one


class Mixture:
    """Segments of C corpora in an endless order.

    `places`, C numbers, are how many segments of each corpus have been drawn.
    """

    def __init__(
        self, sizes: Sequence[np.ndarray], weights: Sequence[float] | None, *, seed: int
    ) -> None:
        """Weigh the corpora.

        Args:
            sizes: i64 [N] per corpus, tokens of its segments.
            weights: of the tokens drawn; None = as many as exist.
            seed: of the order.
        """
        self._sizes = sizes
        self._totals = [int(size.sum()) for size in sizes]
        self._weights = list(self._totals if weights is None else weights)
        self._seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # of the epoch read last

    def draw(
        self, places: Sequence[int], tokens: int
    ) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
        """Draw the next segments (corpus, number), `tokens` tokens or just more.

        Returns:
            The segments, and the places behind them.
        """
        now = list(places)
        drawn = [self._drawn(corpus, place) for corpus, place in enumerate(now)]
        segments = []
        while tokens > 0:
            # The corpus that is furthest behind gives its next segment.
            corpus = min(range(len(now)), key=lambda c: drawn[c] / self._weights[c])
            epoch, at = divmod(now[corpus], len(self._sizes[corpus]))
            segment = int(self._order(corpus, epoch)[at])
            segments.append((corpus, segment))

            size = int(self._sizes[corpus][segment])
            now[corpus] += 1
            drawn[corpus] += size
            tokens -= size
        return segments, tuple(now)

    def epochs(self, places: Sequence[int]) -> tuple[float, ...]:
        """Tell how often each corpus has been read."""
        drawn = (self._drawn(corpus, place) for corpus, place in enumerate(places))
        return tuple(own / total for own, total in zip(drawn, self._totals, strict=True))

    def _drawn(self, corpus: int, place: int) -> int:
        """Count the tokens drawn of a corpus up to a place."""
        epoch, at = divmod(place, len(self._sizes[corpus]))
        read = self._sizes[corpus][self._order(corpus, epoch)[:at]]
        return epoch * self._totals[corpus] + int(read.sum())

    def _order(self, corpus: int, epoch: int) -> np.ndarray:
        """Return the permutation of an epoch; the one used last is kept."""
        known = self._orders.get(corpus)
        if known is None or known[0] != epoch:
            random = np.random.default_rng([_ORDER, self._seed, corpus, epoch])
            known = (epoch, random.permutation(len(self._sizes[corpus])))
            self._orders[corpus] = known
        return known[1]
