from __future__ import annotations

import json

import pytest

from destila.commands import presets
from destila.errors import ConfigError
from destila.measuring import published_tables
from destila.report import reference

SMALL = {"vocab_size": 50, "embedding": 64, "hidden": 64, "heads": 1, "ffn": 128, "layers": 1}


def listed(**options):
    return {model["name"]: model for model in presets.run(presets.Config(**options))["models"]}


@pytest.mark.parametrize(("name", "cost"), reference.costs().items())
def test_every_published_count_is_ours_to_the_digit(name, cost):
    model = listed(only=(name,))[name]
    assert model["parameters"] == cost["params"]
    ours = {length: model["macs"][f"linear_{length}"] for length in cost["macs"]}
    assert ours == cost["macs"]
    assert model["macs_speed_up"] == cost.get("macs_speed_up", model["macs_speed_up"])
    assert model["published"] == cost


def test_every_published_model_has_a_row():
    """And every row has the same columns."""
    result = presets.run(presets.Config())
    assert {row["model"] for row in result["rows"]} >= set(reference.costs())
    assert len({tuple(row) for row in result["rows"]}) == 1
    json.dumps(result)


def test_the_true_count_adds_the_products_of_attention():
    base = listed(only=("albeto-base",))["albeto-base"]["macs"]
    assert base["total_512"] - base["linear_512"] == 12 * 2 * 512 * 512 * 768


def test_a_preset_is_timed_beside_beto(monkeypatch):
    for name in ("beto-uncased", "albeto-tiny"):
        changes = SMALL if name == "albeto-tiny" else {**SMALL, "layers": 3}
        monkeypatch.setitem(
            published_tables.PUBLISHED_MODELS,
            name,
            published_tables.PUBLISHED_MODELS[name].with_values(**changes),
        )
    timing = {"latency": True, "repeats": 3, "warmup": 1, "threads": 1}
    found = listed(only=("albeto-tiny",), **timing)["albeto-tiny"]
    (latency,) = found["latency"]
    assert latency["protocol"] == "papers-512"
    assert latency["low"] <= latency["speed_up"] <= latency["high"]
    assert latency["conditions"]["threads"] == 1
    speed = published_tables.preset_row(found)["inferences per second"]
    assert float(speed.split()[0]) == pytest.approx(1000 / latency["median_ms"], abs=0.01)
    assert "32.53" in speed


def test_an_unknown_preset_is_an_error_with_the_nearest():
    """The message proposes the nearest name."""
    with pytest.raises(ConfigError, match="Did you mean 'albeto-tiny'"):
        presets.run(presets.Config(only=("albeto-tinny",)))
