from __future__ import annotations

import numpy as np
import pytest

from destila.errors import DataError
from destila.report.differences.bootstrap import paired_difference


def counts(right):
    """[1, N, 2] of a list of 0/1."""
    return np.array([[[r, 1] for r in right]])


def test_equal_sides_differ_by_nothing():
    right = np.random.default_rng(0).integers(2, size=200)
    assert paired_difference(counts(right), counts(right), "accuracy") == (0, 0, 0)


def test_the_mean_is_the_difference_averaged_over_seeds():
    """The mean is the observed difference averaged over seeds."""
    a = np.concatenate([counts([1, 1, 1, 0]), counts([1, 1, 0, 0])])
    b = np.concatenate([counts([1, 0, 0, 0]), counts([0, 0, 0, 0])])
    mean, low, high = paired_difference(a, b, "accuracy")
    assert mean == pytest.approx(0.625 - 0.125)
    assert low <= mean <= high


def test_the_interval_of_one_seed_is_the_normal_one():
    """The interval of one seed is that of the normal approximation."""
    generator = np.random.default_rng(1)
    a, b = generator.random(2000) < 0.8, generator.random(2000) < 0.7
    mean, low, high = paired_difference(counts(a), counts(b), "accuracy", draws=4000)
    half = 1.96 * np.std(a.astype(float) - b) / np.sqrt(2000)
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)


def test_pairing_by_item_narrows_the_interval():
    generator = np.random.default_rng(2)
    b = generator.random(500) < 0.5
    a = b | (generator.random(500) < 0.05)  # a is right wherever b is
    shuffled = generator.permutation(a)
    _, low, high = paired_difference(counts(a), counts(b), "accuracy")
    _, low_apart, high_apart = paired_difference(counts(shuffled), counts(b), "accuracy")
    assert high - low < (high_apart - low_apart) / 2


def test_seeds_that_differ_widen_the_interval():
    right = [1, 0] * 100
    steady = np.concatenate([counts(right)] * 3)
    varied = np.concatenate([counts([1] * 200), counts(right), counts([0] * 200)])
    zero = np.concatenate([counts(right)] * 3)
    _, low, high = paired_difference(varied, zero, "accuracy")
    _, low_steady, high_steady = paired_difference(steady, zero, "accuracy")
    assert high - low > 0.4
    assert high_steady - low_steady == 0


def test_sides_may_have_different_numbers_of_seeds():
    right = np.random.default_rng(3).integers(2, size=100)
    three = np.concatenate([counts(right)] * 3)
    assert paired_difference(three, counts(right), "accuracy") == pytest.approx((0, 0, 0))


def test_entity_f1_is_bootstrapped_from_its_counts():
    a = np.array([[[1, 1, 2], [2, 2, 2]]])
    b = np.array([[[0, 1, 2], [1, 2, 2]]])
    mean, low, high = paired_difference(a, b, "entity_f1")
    assert mean == pytest.approx(6 / 7 - 2 / 7)
    assert (low, high) == pytest.approx((0.5, 2 / 3))  # item 2 alone, item 1 alone


def test_the_interval_is_the_same_every_time():
    generator = np.random.default_rng(4)
    a, b = counts(generator.integers(2, size=50)), counts(generator.integers(2, size=50))
    assert paired_difference(a, b, "accuracy") == paired_difference(a, b, "accuracy")


def test_other_test_items_are_refused():
    with pytest.raises(DataError, match="same test set"):
        paired_difference(counts([1, 0]), counts([1]), "accuracy")


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(DataError, match="at least one"):
        paired_difference([[]], [[]], "accuracy")
