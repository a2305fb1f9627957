"""What a served model is called."""

from __future__ import annotations

import pytest

from destila.commands.serve import name_models
from destila.errors import ConfigError


def test_a_model_is_called_as_its_user_calls_it(tmp_path, monkeypatch):
    """By its folder or its run, by its name where it is no folder here, or as it is told."""
    for folder in ("runs/a/best", "b", "models/es-mine"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_MODELS", str(tmp_path / "models"))
    named = name_models(("runs/a/best", "b/", "es-mine", "es-ner", "c=b"))
    assert list(named) == ["a", "b", "es-mine", "es-ner", "c"]
    assert named["es-ner"].name == "es_ner"
    with pytest.raises(ConfigError, match="two models are called 'b'"):
        name_models(("b", "b=runs/a/best"))
