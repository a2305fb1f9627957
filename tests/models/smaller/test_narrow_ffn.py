"""Models with narrower feed-forward parts: the neurons that count stay, and say what all said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.errors import ConfigError
from destila.models.heads import build_model
from destila.models.smaller.narrow_ffn import narrow_ffn


@pytest.fixture
def bert(small_config):
    return build_model(small_config("bert"), "tag", ("O", "B-X"), seed=0).eval()


@pytest.fixture
def windows():
    draws = np.random.default_rng(0)
    return [(draws.integers(5, 20, size=9), np.zeros(9, np.int64)) for _ in range(30)]


def moved(model, other, windows) -> float:
    """Return the mean squared difference of two models' logits."""
    total = 0.0
    for ids, _ in windows:
        inputs = torch.from_numpy(ids)[None]
        with torch.no_grad():
            one, two = (m.answer(inputs, None, None).logits for m in (model, other))
        total += float((one - two).square().mean())
    return total


def test_neurons_that_never_speak_go_first(bert, windows):
    """A model whose other neurons are silent answers as before without them."""
    silent = torch.arange(bert.config.ffn) % 2 == 1
    with torch.no_grad():
        for block in bert.encoder.blocks:
            block.up.weight[silent] = 0
            block.up.bias[silent] = 0
    narrow = narrow_ffn(bert, bert.config.ffn // 2, windows)
    assert narrow.config.ffn == bert.config.ffn // 2
    assert torch.equal(
        narrow.encoder.blocks[0].up.weight, bert.encoder.blocks[0].up.weight[~silent]
    )
    assert moved(narrow, bert, windows) < 1e-3  # the ridge's


def test_a_wider_part_is_nearer(bert, windows):
    each = [moved(narrow_ffn(bert, width, windows), bert, windows) for width in (2, 8, 24)]
    assert each[0] > each[1] > each[2]


@pytest.mark.parametrize("width", [0, 1000])
def test_nothing_but_a_narrower_part_is_made(bert, windows, width):
    with pytest.raises(ConfigError, match=f"width {width}"):
        narrow_ffn(bert, width, windows)
