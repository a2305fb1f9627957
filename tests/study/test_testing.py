"""What is measured of a finished model, and what is kept when that cannot be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from destila.errors import ConfigError
from destila.measuring.targets import TimingTarget
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
    measure = SimpleNamespace(texts=100, repeats=2, padded_512=True, threads=1)
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
    """A CRF has no model that stands apart from its reading."""
    cost = testing._cost(study, tested, EXAMPLES)
    assert [latency.protocol for latency in cost.latency] == ["real"]
    assert cost.conditions.backend == "sklearn"
    assert cost.peak_memory_bytes == 0


def test_without_examples_or_texts_nothing_is_timed(study, tested):
    assert testing._cost(study, tested, []).latency == []
    study.recipe.measure.texts = 0
    assert testing._cost(study, tested, EXAMPLES).latency == []


def test_a_short_model_is_not_timed_on_512_ids(study):
    """An encoder without so many positions has no papers-512."""
    target = TimingTarget(
        name="short", head="tag", labels=("O",), params=1, size_bytes=1, predictor=Baseline()
    )
    assert [x.protocol for x in testing._time(target, EXAMPLES, study, 1)] == ["real"]
