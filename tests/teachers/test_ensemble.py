"""A mean of teachers: what it is over classes and over units, and what a teacher without a unit says."""

from __future__ import annotations

import numpy as np
import pytest

from destila.errors import ConfigError
from destila.teachers.ensemble import combine_logits, ensemble_weights
from destila.types import ABSENT

A = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], np.float16)
B = np.array([[0.0, 1.0, 0.0], [-2.0, 4.0, 0.0]], np.float16)


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(logits.astype(np.float64) - logits.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(("axis", "over"), [(2, 1), (1, 0)])
def test_the_mean_of_probabilities_is_their_weighted_sum(axis, over):
    """The mean of probabilities is their weighted sum along the axis."""
    combined = combine_logits([A, B], [0.25, 0.75], mean="probabilities", axis=axis)
    expected = 0.25 * softmax(A, over) + 0.75 * softmax(B, over)
    assert softmax(combined, over) == pytest.approx(expected, abs=1e-6)
    assert (combined.dtype, combined.shape) == (np.float32, (2, 3))


@pytest.mark.parametrize("axis", [1, 2])
def test_the_mean_of_logits_is_their_weighted_sum(axis):
    assert combine_logits([A, B], [0.25, 0.75], mean="logits", axis=axis) == pytest.approx(
        0.25 * A + 0.75 * B, abs=1e-6
    )


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
@pytest.mark.parametrize(("axis", "over"), [(2, 1), (1, 0)])
def test_equal_teachers_say_what_one_says(mean, axis, over):
    combined = combine_logits([A, A, A], [0.2, 0.5, 0.3], mean=mean, axis=axis)
    assert softmax(combined, over) == pytest.approx(softmax(A, over), abs=1e-6)


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_over_classes_a_teacher_without_the_unit_has_no_say(mean):
    cut = A.copy()
    cut[1] = ABSENT
    combined = combine_logits([cut, B], [0.5, 0.5], mean=mean, axis=2)
    assert softmax(combined, 1)[1] == pytest.approx(softmax(B, 1)[1], abs=1e-6)
    cut_too = np.where([[True], [False]], B, np.float16(ABSENT))
    assert (combine_logits([cut, cut_too], [0.5, 0.5], mean=mean, axis=2)[1] == ABSENT).all()


def test_over_units_a_teacher_without_the_unit_gives_it_nothing():
    cut = A.copy()
    cut[1] = ABSENT
    combined = softmax(combine_logits([cut, B], [0.5, 0.5], mean="probabilities", axis=1), 0)
    assert combined == pytest.approx(
        0.5 * np.array([[1.0] * 3, [0.0] * 3]) + 0.5 * softmax(B, 0), abs=1e-6
    )
    assert (combine_logits([cut, B], [0.5, 0.5], mean="logits", axis=1)[1] == ABSENT).all()
    assert (combine_logits([cut, cut], [0.5, 0.5], mean="probabilities", axis=1)[1] == ABSENT).all()


def test_a_probability_that_vanishes_stays_finite_and_present():
    sure = np.array([[6e4, -6e4]], np.float32)
    combined = combine_logits([sure, sure], [0.5, 0.5], mean="probabilities", axis=2)
    assert np.isfinite(combined).all()
    assert (combined > ABSENT).all()
    assert softmax(combined, 1)[0] == pytest.approx([1.0, 0.0])


def test_weights_sum_to_one_and_follow_what_was_chosen():
    assert ensemble_weights("equal", [0.9, 0.3]) == [0.5, 0.5]
    assert ensemble_weights("dev", [0.9, 0.3]) == pytest.approx([0.75, 0.25])
    assert ensemble_weights("dev", [0.0, 0.0]) == [0.5, 0.5]
    assert ensemble_weights((1, 3), [0.0, 0.0]) == [0.25, 0.75]


@pytest.mark.parametrize("wrong", [(1.0,), (-1.0, 2.0), (0.0, 0.0)])
def test_weights_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ConfigError, match="give 2 numbers from 0 up"):
        ensemble_weights(wrong, [0.5, 0.5])
