"""`destila prune`: a smaller folder with the same head, for a student to start from."""

from __future__ import annotations

import pytest

import destila
from destila.commands.prune import Config, run
from destila.errors import ConfigError
from destila.models import hf


@pytest.fixture
def config(untrained, lines, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(lines) + "\n")
    given = {"texts": str(tmp_path / "texts.txt"), "out": str(tmp_path / "small")}
    model = str(untrained("tag", ("O", "B-PER", "I-PER"), kind="bert"))
    return lambda **options: Config(**{"model": model, **given, **options})


def test_layers_neurons_and_embeddings_are_fewer_and_it_answers(config, lines, tmp_path):
    said = run(config(layers=1, ffn=8, embedding=4))
    shape = hf.load(tmp_path / "small", head_required=True).model.config
    assert (shape.layers, shape.ffn, shape.embedding) == (1, 8, 4)
    assert all(
        after < before for before, after in (said["params"], said["size_bytes"], said["macs"])
    )
    [first, *_] = destila.load(tmp_path / "small").predict(lines[:2])
    assert first.spans is not None


def test_a_model_is_neither_overwritten_nor_copied(config):
    with pytest.raises(ConfigError, match="nothing to cut"):
        run(config())
    with pytest.raises(ConfigError, match="is the model itself"):
        run(config(layers=1, out=config().model))
