"""Few kernels are kept once training starts, unless the environment asks for another number."""

from __future__ import annotations

import os

import pytest

from destila.losses.weighted import build_loss
from destila.training import kept_memory
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions


@pytest.fixture
def clean_environment(monkeypatch):
    """An environment that says nothing of kernels; what it said before comes back."""
    for name in kept_memory.KERNEL_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_training_bounds_both_stores(clean_environment, toy):
    data = TrainData(toy.features("tag", 4), toy.PAD)
    options = TrainOptions(epochs=1, batch_size=4)
    list(
        fit(
            toy.model("tag"),
            toy.TASKS["tag"],
            build_loss([{"use": "hard"}]),
            data,
            lambda: Evaluation(0, 0, {}),
            options,
            seed=0,
        )
    )
    assert {os.environ[name] for name in kept_memory.KERNEL_VARIABLES} == {
        str(kept_memory.KERNELS_KEPT)
    }


def test_the_users_own_number_stays(clean_environment):
    clean_environment.setenv(kept_memory.KERNEL_VARIABLES[0], "7")
    kept_memory.keep_few_kernels()
    assert [os.environ[name] for name in kept_memory.KERNEL_VARIABLES] == [
        "7",
        str(kept_memory.KERNELS_KEPT),
    ]
