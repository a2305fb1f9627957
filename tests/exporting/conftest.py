"""Small models of every kind with inputs of unequal lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.models import heads
from destila.models.architecture import from_shape
from destila.models.heads import Model

VOCAB = 90
LENGTHS = (11, 2, 7, 1)


@pytest.fixture(scope="session")
def small():
    """A function that builds a small model in evaluation mode."""
    return _small


@pytest.fixture(scope="session")
def answers():
    """A function that gives the torch logits of a graph's inputs."""
    return _answers


def _small(kind="albert", task="tag", *, layers=2, activation="gelu", init_range=0.15, hidden=52):
    shape = {"kind": kind, "layers": layers, "hidden": hidden, "heads": 2, "activation": activation}
    if kind == "albert":
        shape["embedding"] = 24
    config = from_shape(shape, vocab_size=VOCAB, pad_id=1).with_values(init_range=init_range)
    return heads.build_model(config, task, ("a", "b", "c"), seed=3).eval()


@torch.no_grad()
def _answers(model: Model, feeds):
    types = feeds.get("type_ids")
    mask = feeds.get("mask")
    return model.answer(
        torch.from_numpy(feeds["input_ids"]),
        None if mask is None else torch.from_numpy(mask).bool(),
        None if types is None else torch.from_numpy(types),
    ).logits.numpy()


@pytest.fixture
def ragged():
    """Feeds of a padded batch; types are random."""
    draw = np.random.default_rng(5)
    ids = draw.integers(2, VOCAB, (len(LENGTHS), max(LENGTHS)))
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64)
    return {
        "input_ids": ids * mask + (1 - mask),
        "mask": mask,
        "type_ids": draw.integers(0, 2, ids.shape) * mask,
    }


@pytest.fixture
def texts():
    """Feeds of single texts."""
    draw = np.random.default_rng(6)
    return [{"input_ids": draw.integers(2, VOCAB, (1, length))} for length in (3, 9, 14, 6)]
