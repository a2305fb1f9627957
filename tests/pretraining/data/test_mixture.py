"""The order in which corpora are read: every stretch once an epoch, each corpus by its weight, from anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from destila.pretraining.data.mixture import Mixture


def corpora() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(50, 150, size) for size in (300, 80, 7)]


def tokens(drawn: list[tuple[int, int]], corpus: int) -> int:
    return int(sum(corpora()[corpus][stretch] for c, stretch in drawn if c == corpus))


def test_all_corpora_end_their_epochs_together_without_weights():
    sizes = corpora()
    mixture = Mixture(sizes, None, seed=0)
    total = int(sum(size.sum() for size in sizes))
    for epoch in range(1, 4):
        drawn, places = mixture.draw([(epoch - 1) * len(size) for size in sizes], total)
        assert places == tuple(epoch * len(size) for size in sizes)
        assert sorted(drawn) == [(c, s) for c, size in enumerate(sizes) for s in range(len(size))]
        assert mixture.epochs(places) == (epoch, epoch, epoch)


def test_epochs_are_shuffled_each_anew():
    mixture = Mixture(corpora()[:1], None, seed=0)
    total = int(corpora()[0].sum())
    first, places = mixture.draw([0], total)
    second, _ = mixture.draw(places, total)
    assert first != sorted(first)
    assert first != second


def test_weights_are_shares_at_every_moment():
    mixture = Mixture(corpora(), [5, 3, 2], seed=0)
    for wanted in (5_000, 100_000):
        drawn, _ = mixture.draw([0, 0, 0], wanted)
        shares = [tokens(drawn, corpus) / wanted for corpus in range(3)]
        assert shares == pytest.approx([0.5, 0.3, 0.2], abs=300 / wanted)


def test_a_draw_goes_on_where_the_one_before_ended():
    mixture = Mixture(corpora(), [1, 1, 1], seed=3)
    first, places = mixture.draw([0, 0, 0], 20_000)
    second, end = mixture.draw(places, 20_000)
    whole, at = Mixture(corpora(), [1, 1, 1], seed=3).draw(
        [0, 0, 0], sum(tokens(first + second, c) for c in range(3))
    )
    assert whole == first + second
    assert at == end
    assert mixture.draw([0, 0, 0], 20_000) == (
        first,
        places,
    )  # from the start again, after later ones


def test_seeds_choose_the_order():
    one, other = (Mixture(corpora(), None, seed=seed).draw([0, 0, 0], 5000)[0] for seed in (0, 1))
    assert one != other
