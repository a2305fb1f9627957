"""What is measured of a finished model, and what is kept when that cannot be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from destila import cpu
from destila.errors import ConfigError
from destila.study import testing
from destila.types import Example

EXAMPLES = [Example(str(i), "una frase de prueba") for i in range(3)]


class Baseline:
    """Labels nothing, and says how often it is asked."""

    labels = ("O",)

    def predict(self, examples):
        yield from ()


@pytest.fixture
def study():
    measure = SimpleNamespace(texts=100, repeats=2, padded_512=True, threads=1, device="cpu")
    recipe = SimpleNamespace(measure=measure, max_length=64)
    return SimpleNamespace(recipe=recipe, task=SimpleNamespace(head="tag"))


@pytest.fixture
def tested():
    return testing.TestedModel(
        key="k",
        run="baseline-crf",
        role="baseline",
        model="crf",
        seed=0,
        seconds=0.0,
        predictor=Baseline(),
        params=1,
        size_bytes=1,
        macs={},
        config={},
        details={},
    )


def test_memory_that_cannot_be_measured_is_a_warning(tmp_path, monkeypatch, caplog):
    """Scores are not lost because a new process cannot read a text."""

    def fails(command):
        raise ConfigError("a word needs 140 tokens")

    monkeypatch.setattr(testing.memory, "peak_of", fails)
    assert testing._peak_memory(tmp_path, [Example("a", "sí")]) is None
    assert "memory is not measured: a word needs 140 tokens" in caplog.text
    assert testing._peak_memory(None, []) is None


def test_a_baseline_is_timed_from_text_to_label_alone(study, tested):
    """A CRF has no model that stands apart from its reading, and reads no 512 ids."""
    times = testing.time_together(study, [tested, replace(tested, run="other")], EXAMPLES)
    for latency in times.latency:
        assert [each.protocol for each in latency] == ["real"]
        assert latency[0].conditions.backend == "sklearn"
        assert latency[0].conditions.repeats == 6  # three texts, twice
    assert times.load["together"] == 2
    assert times.load["processors"] >= 1


def test_the_cost_of_a_baseline_has_neither_times_nor_memory(study, tested):
    """Times come later, with those of all others; memory is that of a folder."""
    cost = testing._cost(study, tested, EXAMPLES)
    assert not cost.latency
    assert cost.conditions.backend == "sklearn"
    assert cost.peak_memory_bytes == 0


def test_threads_are_the_recipe_s_else_the_environment_s(study, tested, monkeypatch):
    """Only then all that the process may use."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert testing.threads_of(study, tested) == 1
    study.recipe.measure.threads = None
    assert testing.threads_of(study, tested) == 3
    for useless in ("", "zwei", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", useless)
        assert testing.threads_of(study, tested) == cpu.available()
