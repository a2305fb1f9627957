from __future__ import annotations

import numpy as np
import pytest

from destila.errors import DataError
from destila.report.differences.intervals import interval, paired_difference, student_quantile


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
    mean, low, high = paired_difference(counts(a), counts(b), "accuracy")
    half = 1.96 * np.std(a.astype(float) - b) / np.sqrt(2000)
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.01)


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


def test_the_interval_of_entity_f1_is_that_of_its_items():
    """The jackknife agrees with the delta method on a ratio of sums."""
    generator = np.random.default_rng(5)
    predicted, gold = generator.integers(1, 4, (2, 400))
    true = np.minimum(generator.integers(0, 4, 400), np.minimum(predicted, gold))
    low, high = interval([np.stack([true, predicted, gold], axis=1)], "entity_f1")
    f1 = 2 * true.sum() / (predicted + gold).sum()
    terms = (2 * true - f1 * (predicted + gold)) / (predicted + gold).mean()
    half = 1.96 * terms.std(ddof=1) / np.sqrt(400)
    assert (low, high) == pytest.approx((f1 - half, f1 + half), abs=1e-4)


def test_the_interval_of_three_seeds_is_students():
    """Where items say nothing, it is that of three numbers: 4.303 standard errors."""
    sides = [
        np.array([[[right, 10]] * 50 for right in rights]) for rights in ((7, 8, 9), (5, 5, 5))
    ]
    mean, low, high = paired_difference(*sides, "pos_accuracy")
    assert (mean, high - mean) == pytest.approx((0.3, 4.3027 * 0.1 / np.sqrt(3)), rel=1e-3)
    assert mean - low == pytest.approx(high - mean)


def test_an_interval_of_a_score_ends_at_one():
    assert interval(counts([1] * 99 + [0]), "accuracy")[1] == 1.0
    assert interval(counts([1] * 10), "accuracy") == (1.0, 1.0)


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (4, 2.776), (1e9, 1.96)]
)
def test_students_quantile_is_that_of_tables(freedom, expected):
    assert student_quantile(freedom) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "spread", "own"),
    [((3, 3), 3, 0), ((5, 5), 3, 0), ((3, 3), 1, 0), ((5, 5), 1, 1), ((3, 3), 0, 0), ((5, 5), 0, 0),
     ((3, 3), 0, 1), ((3, 5), 1, 0), ((1, 1), 0, 0)],
)  # fmt: skip
def test_one_equal_pair_in_twenty_seems_to_differ(seeds, spread, own):
    """Two models that are equal on average are called different in 3 to 7 % of 1,000 studies.

    spread: standard deviation over seeds, in points. own: how much the models differ in what they
    find hard.
    """
    generator, false = np.random.default_rng(0), 0
    for _ in range(1000):
        shared = generator.normal(1.2, 1.5, 400)
        sides = []
        for count in seeds:
            chance = 1 / (1 + np.exp(-shared - generator.normal(0, own, 400)))
            of_seed = chance + generator.normal(0, spread / 100, (count, 1))
            right = generator.random((count, 400)) < of_seed
            sides.append(np.stack([right, np.ones_like(right)], axis=2).astype(int))
        _, low, high = paired_difference(*sides, "accuracy")
        false += not low <= 0 <= high
    assert 30 <= false <= 70


def test_other_test_items_are_refused():
    with pytest.raises(DataError, match="same test set"):
        paired_difference(counts([1, 0]), counts([1]), "accuracy")


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(DataError, match="at least one"):
        paired_difference([[]], [[]], "accuracy")
