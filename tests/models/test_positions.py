"""Sinusoids as the start of a position table."""

from __future__ import annotations

import math

import pytest
import torch

from destila.models.architecture import from_shape
from destila.models.encoder import Encoder
from destila.models.positions import sinusoid_table, start_as_sinusoids


def test_values_are_those_of_the_formula():
    table = sinusoid_table(50, 8, std=1.0)
    for p, column, value in (
        (7, 0, math.sin(7)),
        (7, 1, math.cos(7)),
        (7, 4, math.sin(7 / 100)),
        (0, 0, 0.0),
    ):
        assert float(table[p, column] / table[0, 1]) == pytest.approx(
            value, abs=1e-6
        )  # the cosine of 0 is the scale


@pytest.mark.parametrize("width", [1, 7, 64])
def test_the_spread_is_what_was_asked_for_at_any_width(width):
    table = sinusoid_table(512, width, std=0.02)
    assert table.shape == (512, width)
    assert table.dtype == torch.float32
    assert float(table.std(correction=0)) == pytest.approx(0.02)


def test_near_positions_are_alike_and_distance_decides():
    table = sinusoid_table(200, 64, std=1.0)
    like = torch.nn.functional.cosine_similarity(table[100:101], table)
    assert like[101] > like[103] > like[110] > like[150]
    assert torch.allclose(table[10:11] @ table[14], table[90:91] @ table[94], rtol=1e-4)


@pytest.mark.parametrize("kind", ["albert", "roberta"])
def test_positions_start_at_the_spread_of_the_token_table(kind):
    """A position table starts at the spread of the token table."""
    config = from_shape(
        {"kind": kind, "layers": 1, "hidden": 32, "heads": 2}, vocab_size=100, pad_id=1
    )
    encoder = Encoder(config)
    first = config.first_position
    torch.nn.init.normal_(encoder.embeddings.word.weight, std=0.3)
    before = encoder.embeddings.position.weight.detach().clone()
    start_as_sinusoids(encoder)
    assert encoder.embeddings.position.weight.requires_grad
    table = encoder.embeddings.position.weight.detach()
    assert torch.equal(table[:first], before[:first])
    assert torch.equal(
        table[first:],
        sinusoid_table(512, 32, std=float(encoder.embeddings.word.weight.detach().std())),
    )
