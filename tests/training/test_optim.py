"""Decay groups, and the learning rate as a function of the step."""

from __future__ import annotations

import math

import pytest
import torch

from destila.training.optim import build_optimizer, lr_at
from destila.training.options import TrainOptions


def rates(**options) -> list[float]:
    chosen = TrainOptions(**{"lr": 1.0, "warmup": 0.2} | options)
    return [lr_at(step, 10, chosen) for step in range(10)]


def test_the_rate_rises_linearly_and_reaches_its_peak():
    assert rates()[:3] == [0.5, 1.0, 1.0]


def test_the_linear_schedule_falls_by_equal_steps_towards_zero():
    assert rates()[2:] == pytest.approx([1 - i / 8 for i in range(8)])


def test_the_cosine_schedule_is_half_a_wave():
    assert rates(schedule="cosine")[2:] == pytest.approx(
        [(1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)]
    )


def test_the_constant_schedule_stays():
    assert rates(schedule="constant")[2:] == [1.0] * 8


def test_without_warm_up_the_first_step_is_the_peak():
    assert rates(warmup=0.0)[0] == 1.0


def decays(**options) -> dict[str, float]:
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Embedding(4, 3)
    )
    model[2].requires_grad_(False)
    names = {id(p): name for name, p in model.named_parameters()}
    chosen = build_optimizer(model, TrainOptions(weight_decay=0.1, **options))
    return {
        names[id(p)]: group["weight_decay"]
        for group in chosen.param_groups
        for p in group["params"]
    }


def test_biases_and_norms_are_not_decayed():
    """Biases and norms are not decayed and frozen weights not trained."""
    assert decays() == {"0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0}


def test_everything_is_decayed_on_request():
    assert set(decays(decay_all=True).values()) == {0.1}


def test_the_optimiser_takes_every_number_of_the_recipe():
    chosen = build_optimizer(torch.nn.Linear(2, 2), TrainOptions(lr=3e-4, beta2=0.98, eps=1e-6))
    assert chosen.defaults["lr"] == 3e-4
    assert chosen.defaults["betas"] == (0.9, 0.98)
    assert chosen.defaults["eps"] == 1e-6
