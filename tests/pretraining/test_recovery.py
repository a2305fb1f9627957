"""When a loss counts as diverged."""

from __future__ import annotations

import random

import pytest

from destila.pretraining.pretrain_options import Recovery
from destila.pretraining.recovery import LossHistory

OPTIONS = Recovery(spike=0.5, deviations=3.0, patience=10)


def after(losses, course: LossHistory | None = None) -> LossHistory:
    course = course or LossHistory()
    for loss in losses:
        course = course.after(loss, OPTIONS)
    return course


def noisy(level: float, noise: float, count: int, seed: int = 0) -> list[float]:
    drawn = random.Random(seed)
    return [drawn.gauss(level, noise) for _ in range(count)]


def test_a_falling_noisy_loss_is_never_suspect():
    falling = [10 * 0.97**i + 2 + noise for i, noise in enumerate(noisy(0.0, 0.1, 400))]
    course = LossHistory()
    for loss in falling:
        course = course.after(loss, OPTIONS)
        assert course.high == 0


@pytest.mark.parametrize(("level", "high"), [(3.4, 0), (3.6, 12)])
def test_suspect_steps_are_counted_from_so_many_nats_above(level, high):
    assert after([level] * 12, after([3.0] * 100)).high == high


def test_noise_must_be_passed_as_well():
    calm, rough = after(noisy(3.0, 0.05, 200)), after(noisy(3.0, 0.5, 200))
    assert calm.margin(OPTIONS) == 0.5
    assert rough.margin(OPTIONS) == pytest.approx(1.5, rel=0.35)
    assert after([3.9] * 5, calm).high == 5
    assert after([3.9] * 5, rough).high == 0


def test_one_good_step_ends_a_row_of_suspect_ones():
    assert after([9.0] * 9 + [3.0], after([3.0] * 50)).high == 0


def test_a_loss_that_climbs_slowly_does_not_take_its_mark_along():
    course = after([3.0 + 0.004 * i for i in range(400)], after(noisy(3.0, 0.02, 100)))
    assert course.high > OPTIONS.patience


def test_suspect_steps_do_not_change_the_statistics():
    course = after([3.0] * 50)
    assert after([9.0] * 500, course).mean == course.mean


def test_no_loss_is_suspect_at_the_start():
    """Nothing is suspect before there is anything to compare with."""
    assert after([3.0] * 5 + [9.0] * 4).high == 0
