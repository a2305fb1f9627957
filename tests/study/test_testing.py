"""What is measured of a finished model, and what is kept when that cannot be."""

from __future__ import annotations

from destila.errors import ConfigError
from destila.study import testing
from destila.types import Example


def test_memory_that_cannot_be_measured_does_not_cost_the_scores(tmp_path, monkeypatch, caplog):
    def fails(command):
        raise ConfigError("a word needs 140 tokens")

    monkeypatch.setattr(testing.memory, "peak_of", fails)
    assert testing._peak_memory(tmp_path, [Example("a", "sí")]) is None
    assert "memory is not measured: a word needs 140 tokens" in caplog.text
    assert testing._peak_memory(None, []) is None
