"""A narrower feed-forward part in every layer, for small students: the neurons that count stay.

    before     y = down(activate(up(x)))                     F neurons
    after      y ~ down'(activate(up'(x)))                   fewer: rows of `up`, a new `down`

How much a neuron counts is the share of y that it brings on some texts: the mean square of its
activation times the squared length of its column of `down` (as Michel et al. 2019 rank heads, by
what they bring and not by their weights alone). `down'` is the least-squares answer of the neurons
that stay to what all of them said, so that they say the part of the others that they know. What is
lost is for training to heal.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from destila.errors import ConfigError
from destila.models import heads
from destila.models.encoder import Block
from destila.models.heads import Model

_RIDGE = 1e-4
"""Penalty of the new weights, as a share of what their inputs' squares sum to."""


@torch.no_grad()
def narrow_ffn(model: Model, width: int, windows: Iterable[tuple[np.ndarray, np.ndarray]]) -> Model:
    """Return a model with `width` neurons in every layer's feed-forward part.

    Args:
        model: with a block of its own in every layer.
        width: of the feed-forward parts.
        windows: the ids and type ids of texts, i32 [L] each, on which neurons are compared.

    Raises:
        ConfigError: the layers are one block, or the width is not below the model's.
    """
    old = model.config
    if old.shared or not 0 < width < old.ffn:
        raise ConfigError(
            f"feed-forward parts of width {width}: they are cut to less than the model's "
            f"{old.ffn}, and where every layer has a block of its own"
        )

    grams = _activation_grams(model, windows)
    narrow = heads.empty_model(old.with_values(ffn=width), model.task, model.labels)

    # everything but the feed-forward parts is copied
    shapes = {name: value.shape for name, value in narrow.state_dict().items()}
    kept = {k: v for k, v in model.state_dict().items() if v.shape == shapes[k]}
    narrow.load_state_dict(kept, strict=False)
    for own, block, gram in zip(narrow.encoder.blocks, model.encoder.blocks, grams, strict=True):
        assert isinstance(own, Block)
        assert isinstance(block, Block)
        _cut(own, block, gram)
    return narrow.train(model.training)


def _activation_grams(
    model: Model, windows: Iterable[tuple[np.ndarray, np.ndarray]]
) -> list[Tensor]:
    """Return for each layer the products of its neurons over all tokens, f64 [F + 1, F + 1].

    The last row and column belong to a neuron that always says 1, the bias.
    """
    size = model.config.ffn + 1
    grams = [torch.zeros(size, size, dtype=torch.float64) for _ in model.encoder.blocks]

    def add(gram: Tensor, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        neurons = inputs[0].flatten(0, 1).double()  # [L, F]
        neurons = torch.cat([neurons, torch.ones(len(neurons), 1)], dim=1)
        gram.addmm_(neurons.T, neurons)

    # seen at the door of `down`, a text at a time, so that no pad counts
    blocks = [block for block in model.encoder.blocks if isinstance(block, Block)]
    hooks = [
        block.down.register_forward_pre_hook(partial(add, gram))
        for block, gram in zip(blocks, grams, strict=True)
    ]
    training = model.training
    model.eval()
    for ids, types in windows:
        model.answer(torch.from_numpy(ids).long()[None], None, torch.from_numpy(types).long()[None])
    model.train(training)
    for hook in hooks:
        hook.remove()
    return grams


def _cut(own: Block, block: Block, gram: Tensor) -> None:
    """Set the feed-forward part of `own` from that of `block`, whose neurons have a gram."""
    down = block.down.weight.double()  # [H, F]
    counts = gram.diagonal()[:-1] * down.square().sum(0)  # [F]
    keep = counts.topk(len(own.up.weight)).indices.sort().values
    own.up.weight.copy_(block.up.weight[keep])
    own.up.bias.copy_(block.up.bias[keep])

    # least squares: the neurons that stay, and a bias, say what all said
    inputs = torch.cat([keep, torch.tensor([len(down[0])])])
    between = gram[inputs][:, inputs]  # [W + 1, W + 1]
    ridge = _RIDGE * between.diagonal().mean() * torch.eye(len(inputs), dtype=torch.float64)
    solution = torch.linalg.solve(between + ridge, gram[inputs][:, :-1] @ down.T)  # [W + 1, H]
    own.down.weight.copy_(solution[:-1].T)
    own.down.bias.copy_(block.down.bias + solution[-1])
