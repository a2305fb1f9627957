"""A recipe so small that a whole study takes seconds, and model folders that nobody trained."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

TINY = """
name = "tiny"
max_length = 48
out = "{out}"

[data]
use = "{data}"
train = 96
dev = 24
test = 24

[[teachers]]
name = "teacher"
shape = {{ kind = "bert", layers = 2, hidden = 32, heads = 2 }}
tokenizer = {{ kind = "bpe", vocab_size = 400 }}

[[students]]
name = "student"
shape = {{ kind = "albert", layers = 1, hidden = 16, heads = 2 }}
tokenizer = {{ kind = "wordpiece", vocab_size = 400 }}

[train]
epochs = 2
batch_size = 16
lr = 2e-3
precision = "fp32"
save_minutes = 0.0

[measure]
texts = 0
"""

SECOND = """
[[students]]
name = "second"
shape = { kind = "distilbert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 350, lowercase = false }
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Writes the tiny recipe for `data`, with further TOML at its end; studies and caches go to the test's folder."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))

    def write(data: str = "demo_intents", more: str = "") -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(TINY.format(out=tmp_path / "runs", data=data) + more, encoding="utf-8")
        return path

    return write


@pytest.fixture
def second() -> str:
    """A student of another architecture with another tokenizer, as TOML."""
    return SECOND


@pytest.fixture
def untrained(tmp_path, bpe) -> Callable[..., Path]:
    """Makes the folder of a model with random weights: `untrained("tag", ("O", "B-PER"))`."""

    def make(task: str, labels: tuple[str, ...], name: str = "model", **shape) -> Path:
        from destila.models import hf, store

        config = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.3} | shape
        loaded = hf.load(config, tokenizer=bpe, task=task, labels=labels, seed=1)
        store.save(loaded.model, bpe, tmp_path / name, extra={"max_length": 32})
        return tmp_path / name

    return make


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Names of the runs that were really trained."""
    from destila.study import training

    names: list[str] = []
    real = training.fit

    def fit(*args, **kwargs):
        names.append(kwargs["state"].parent.name)
        return real(*args, **kwargs)

    monkeypatch.setattr(training, "fit", fit)
    return names
