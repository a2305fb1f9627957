"""The order in which segments of several corpora are read: shuffled epochs, mixed by weight.

Every epoch of a corpus is a permutation of its segments by (seed, corpus, epoch). The next segment
comes from the corpus that is furthest behind: the one with the fewest tokens drawn for its weight.
There is no random state: where a reader stands is one number per corpus, how many segments it has
drawn, and everything else follows.

That rule is a merge: before its k-th segment a corpus has drawn d(k) tokens, and of all segments
those with the least d(k) / weight come first. So a draw sorts a few candidates of each corpus, and
what it costs depends neither on how far an epoch is read nor on how many segments there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ORDER = 1  # of the keys that draws depend on, so that no two kinds of draw share one

_STRIDE = 1024
"""Segments of an epoch between two places whose tokens are added up beforehand."""


@dataclass(frozen=True, slots=True)
class _Epoch:
    """One reading of a corpus.

    order: u32 [N], its segments. sums: i64, tokens before each _STRIDE-th of them, and of all.
    """

    order: np.ndarray
    sums: np.ndarray


class Mixture:
    """Segments of C corpora in an endless order.

    `places`, C numbers, are how many segments of each corpus have been drawn.
    """

    def __init__(
        self, sizes: Sequence[np.ndarray], weights: Sequence[float] | None, *, seed: int
    ) -> None:
        """Weigh the corpora.

        Args:
            sizes: i64 [N] per corpus, tokens of its segments, each above 0.
            weights: of the tokens drawn; None = as many as exist.
            seed: of the order.
        """
        self._sizes = sizes
        self._totals = [int(size.sum()) for size in sizes]
        self._weights = list(self._totals if weights is None else weights)
        self._seed = seed
        self._epochs: dict[tuple[int, int], _Epoch] = {}  # the last two of each corpus

    def draw(self, places: Sequence[int], tokens: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """Draw the next segments, `tokens` tokens or just more.

        Returns:
            The segments, i64 [D, 2], corpus and number of each, and the places behind them.
        """
        # What is drawn is behind by less than all corpora would be together at the end.
        drawn = [self._drawn(corpus, place) for corpus, place in enumerate(places)]
        level = (sum(drawn) + tokens) / sum(self._weights)

        # Candidates of each corpus, each with how far behind the corpus is before it.
        parts = []
        for corpus, place in enumerate(places):
            until = level * self._weights[corpus]
            numbers, before = self._candidates(corpus, place, drawn[corpus], until)
            behind = before / self._weights[corpus]
            parts.append((np.full(len(numbers), corpus), numbers, behind))
        corpora, numbers, behind = (np.concatenate(each) for each in zip(*parts, strict=True))

        # The one furthest behind first; of equals that of the first corpus.
        if len(parts) > 1:
            merged = np.lexsort((corpora, behind))
            corpora, numbers = corpora[merged], numbers[merged]
        ends = np.cumsum(self._sizes_of(corpora, numbers))
        count = int(np.searchsorted(ends, tokens)) + 1

        segments = np.stack([corpora[:count], numbers[:count]], axis=1)  # [D, 2]
        taken = np.bincount(segments[:, 0], minlength=len(places))
        return segments, tuple(int(p + t) for p, t in zip(places, taken, strict=True))

    def epochs(self, places: Sequence[int]) -> tuple[float, ...]:
        """Tell how often each corpus has been read."""
        drawn = (self._drawn(corpus, place) for corpus, place in enumerate(places))
        return tuple(own / total for own, total in zip(drawn, self._totals, strict=True))

    def _sizes_of(self, corpora: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the tokens of segments, i64 [D]."""
        sizes = np.empty(len(numbers), np.int64)
        for corpus, own in enumerate(self._sizes):
            here = corpora == corpus
            sizes[here] = own[numbers[here]]
        return sizes

    def _drawn(self, corpus: int, place: int) -> int:
        """Count the tokens drawn of a corpus up to a place."""
        number, at = divmod(place, len(self._sizes[corpus]))
        if not at:
            return number * self._totals[corpus]
        epoch = self._epoch(corpus, number)
        stride = at // _STRIDE
        rest = self._sizes[corpus][epoch.order[stride * _STRIDE : at]]
        return int(number * self._totals[corpus] + epoch.sums[stride] + rest.sum())

    def _candidates(
        self, corpus: int, place: int, drawn: int, until: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the next segments of a corpus up to the first with `until` tokens before it.

        Args:
            corpus: its number.
            place: how many segments were drawn.
            drawn: their tokens.
            until: tokens.

        Returns:
            Numbers i64 [K], one at least, and the tokens of the corpus before each, i64 [K].
        """
        sizes, total = self._sizes[corpus], self._totals[corpus]
        number, at = divmod(place, len(sizes))
        numbers, before = [], []
        while True:
            # By the sums no further than two strides too far.
            epoch = self._epoch(corpus, number)
            stride = int(np.searchsorted(epoch.sums, until - number * total, side="right")) + 1
            chosen = epoch.order[at : stride * _STRIDE].astype(np.int64)
            own = sizes[chosen]
            ends = drawn + np.cumsum(own)
            numbers.append(chosen)
            before.append(ends - own)

            # Into the next epoch, where this one is too short.
            at, drawn = at + len(chosen), int(ends[-1]) if len(ends) else drawn
            if at < len(sizes) or drawn > until:
                break
            number, at = number + 1, 0
        return np.concatenate(numbers), np.concatenate(before)

    def _epoch(self, corpus: int, number: int) -> _Epoch:
        """Return an epoch of a corpus; the last two are kept."""
        known = self._epochs.get((corpus, number))
        if known is not None:
            return known

        sizes = self._sizes[corpus]
        random = np.random.default_rng([_ORDER, self._seed, corpus, number])
        order = random.permutation(len(sizes)).astype(np.uint32)
        starts = range(0, len(sizes), _STRIDE)
        tokens = [int(sizes[order[start : start + _STRIDE]].sum()) for start in starts]
        made = _Epoch(order, np.concatenate([np.zeros(1, np.int64), np.cumsum(tokens)]))

        # Others than those next to it are not needed any more.
        near = {k: e for k, e in self._epochs.items() if k[0] != corpus or abs(k[1] - number) < 2}
        self._epochs = {**near, (corpus, number): made}
        return made
