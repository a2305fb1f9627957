"""The order in which corpora are read: every stretch once an epoch, each corpus by its weight, from anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from destila.pretraining.data import mixture as mixtures
from destila.pretraining.data.mixture import Mixture


def corpora() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(50, 150, size) for size in (300, 80, 7)]


def draw(mixture: Mixture, places, tokens: int) -> tuple[list[list[int]], tuple[int, ...]]:
    drawn, behind = mixture.draw(places, tokens)
    return drawn.tolist(), behind


def tokens(drawn: list[list[int]], corpus: int) -> int:
    return int(sum(corpora()[corpus][stretch] for c, stretch in drawn if c == corpus))


def one_by_one(sizes, weights, places, tokens: int, *, seed: int) -> tuple[list, tuple]:
    """The rule as it is said: the corpus that is furthest behind gives its next segment."""
    orders = {}

    def order(corpus: int, epoch: int) -> np.ndarray:
        random = np.random.default_rng([1, seed, corpus, epoch])
        return orders.setdefault((corpus, epoch), random.permutation(len(sizes[corpus])))

    def size(corpus: int, place: int) -> int:
        epoch, at = divmod(place, len(sizes[corpus]))
        return int(sizes[corpus][order(corpus, epoch)[at]])

    now = list(places)
    had = [sum(size(c, p) for p in range(place)) for c, place in enumerate(now)]
    drawn = []
    while tokens > 0:
        corpus = min(range(len(now)), key=lambda c: had[c] / weights[c])
        epoch, at = divmod(now[corpus], len(sizes[corpus]))
        drawn.append([corpus, int(order(corpus, epoch)[at])])
        own = size(corpus, now[corpus])
        now[corpus], had[corpus], tokens = now[corpus] + 1, had[corpus] + own, tokens - own
    return drawn, tuple(now)


@pytest.mark.parametrize("weights", [None, [5, 3, 2], [0.2, 1.0, 30.0]])
@pytest.mark.parametrize("stride", [1, 16, 1024])
def test_a_draw_is_what_the_rule_gives_one_by_one(weights, stride, monkeypatch):
    monkeypatch.setattr(mixtures, "_STRIDE", stride)
    sizes = corpora()
    mixture = Mixture(sizes, weights, seed=5)
    plain = weights or [int(size.sum()) for size in sizes]
    places: tuple[int, ...] = (0, 0, 0)
    for wanted in (1, 700, 9_000, 60_000):
        drawn, behind = draw(mixture, places, wanted)
        assert (drawn, behind) == one_by_one(sizes, plain, places, wanted, seed=5)
        places = behind


def test_draws_cost_alike_at_any_place_of_an_epoch():
    """A draw looks at its own segments, and not at those that were drawn before."""
    sizes = np.full(200_000, 30)
    mixture = Mixture([sizes], None, seed=0)
    mixture.draw([0], 1)
    looked = []

    class Watched:
        def __len__(self) -> int:
            return len(sizes)

        def __getitem__(self, which):
            looked.append(len(which))
            return sizes[which]

    mixture._sizes = [Watched()]
    for place in (10, 100_000, 199_000):
        looked.clear()
        mixture.draw([place], 3_000)
        assert sum(looked) < 8 * 1024


def test_all_corpora_end_their_epochs_together_without_weights():
    sizes = corpora()
    mixture = Mixture(sizes, None, seed=0)
    total = int(sum(size.sum() for size in sizes))
    for epoch in range(1, 4):
        drawn, places = draw(mixture, [(epoch - 1) * len(size) for size in sizes], total)
        assert places == tuple(epoch * len(size) for size in sizes)
        assert sorted(drawn) == [[c, s] for c, size in enumerate(sizes) for s in range(len(size))]
        assert mixture.epochs(places) == (epoch, epoch, epoch)


def test_epochs_are_shuffled_each_anew():
    mixture = Mixture(corpora()[:1], None, seed=0)
    total = int(corpora()[0].sum())
    first, places = draw(mixture, [0], total)
    second, _ = draw(mixture, places, total)
    assert first != sorted(first)
    assert first != second


def test_weights_are_shares_at_every_moment():
    mixture = Mixture(corpora(), [5, 3, 2], seed=0)
    for wanted in (5_000, 100_000):
        drawn, _ = draw(mixture, [0, 0, 0], wanted)
        shares = [tokens(drawn, corpus) / wanted for corpus in range(3)]
        assert shares == pytest.approx([0.5, 0.3, 0.2], abs=300 / wanted)


def test_a_draw_goes_on_where_the_one_before_ended():
    mixture = Mixture(corpora(), [1, 1, 1], seed=3)
    first, places = draw(mixture, [0, 0, 0], 20_000)
    second, end = draw(mixture, places, 20_000)
    whole, at = draw(
        Mixture(corpora(), [1, 1, 1], seed=3),
        [0, 0, 0],
        sum(tokens(first + second, c) for c in range(3)),
    )
    assert whole == first + second
    assert at == end
    assert draw(mixture, [0, 0, 0], 20_000) == (
        first,
        places,
    )  # from the start again, after later ones


def test_seeds_choose_the_order():
    one, other = (draw(Mixture(corpora(), None, seed=seed), [0, 0, 0], 5000)[0] for seed in (0, 1))
    assert one != other
