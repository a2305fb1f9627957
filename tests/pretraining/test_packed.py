"""Packed rows: each text in a row is read as if it stood alone, and only chosen tokens are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.losses.weighted import build_loss
from destila.models.architecture import from_shape
from destila.models.mlm import build_masked_model
from destila.pretraining.data.batch_stream import MaskedRows
from destila.pretraining.objective import OBJECTIVE
from destila.pretraining.packed import batch_of, split_rows
from destila.types import IGNORE

SIZES = (9, 5, 7)
LENGTH = 24


@pytest.fixture
def rows():
    """Two rows of 24 tokens; the first holds three texts and padding, the second one text."""
    random = np.random.default_rng(3)
    fields = {
        name: np.zeros((2, LENGTH), np.int32)
        for name in ("input_ids", "type_ids", "positions", "pair")
    }
    order, target = np.full((2, LENGTH), IGNORE, np.int32), np.full((2, LENGTH), IGNORE, np.int32)
    for row, sizes in enumerate([SIZES, (LENGTH,)]):
        start = 0
        for number, size in enumerate(sizes, 1):
            part = (row, slice(start, start + size))
            fields["input_ids"][part] = random.integers(5, 30, size)
            fields["type_ids"][part] = np.arange(size) > size // 2
            fields["positions"][part] = np.arange(size)
            fields["pair"][part] = number
            order[row, start] = number % 2
            start += size
    order[1, 0] = IGNORE  # a text that has no order
    target[0, [2, 11, 16]], target[1, 20] = (7, 8, 9), 10
    return MaskedRows(**fields, order=order, target=target, tokens=sum(SIZES) + LENGTH)


@pytest.fixture(params=["albert", "bert"])
def model(request):
    shape = {
        "kind": request.param,
        "layers": 2,
        "hidden": 32,
        "heads": 4,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    if request.param == "albert":
        shape["embedding"] = 16
    return build_masked_model(from_shape(shape, vocab_size=30, pad_id=0), seed=1, order=True).eval()


def test_a_text_in_a_packed_row_reads_as_if_it_stood_alone(model, rows):
    batch = batch_of(rows)
    with torch.no_grad():
        last, _ = model.encoder(
            batch.input_ids, None, batch.type_ids, positions=batch.positions, pair=batch.pair
        )
        start = 0
        for size in SIZES:
            part = (slice(0, 1), slice(start, start + size))
            alone, _ = model.encoder(batch.input_ids[part], None, batch.type_ids[part])
            torch.testing.assert_close(last[0, start : start + size], alone[0], rtol=0, atol=2e-6)
            start += size
    assert torch.isfinite(last).all()  # padding too


def test_only_what_was_chosen_has_logits(model, rows):
    batch = batch_of(rows)
    said = model(batch)
    assert said.logits.shape == (1, 4, 30)
    assert OBJECTIVE.targets(batch).tolist() == [[7, 8, 9, 10]]
    assert said.order.shape == (3, 2)
    everywhere = batch_of(rows, every=True)
    assert model(everywhere).logits.shape == (1, sum(SIZES) + LENGTH, 30)
    assert (OBJECTIVE.targets(everywhere) != IGNORE).sum() == 4


def test_losses_are_cross_entropies(model, rows):
    """The losses are cross entropies over chosen tokens and over ordered texts."""
    batch = batch_of(rows)
    terms = build_loss([{"use": "hard"}, {"use": "order", "weight": 2.0}])
    assert terms.counts(OBJECTIVE, batch) == [4, 3]
    output = model(batch)
    loss, parts = terms(OBJECTIVE, output, batch, [4, 3])
    chosen = torch.nn.functional.cross_entropy(output.logits[0], torch.tensor([7, 8, 9, 10]))
    order = torch.nn.functional.cross_entropy(output.order, torch.tensor([1, 0, 1]))
    torch.testing.assert_close(parts["hard"], chosen)
    torch.testing.assert_close(parts["order"], order)
    torch.testing.assert_close(loss, chosen + 2 * order)
    every, _ = terms(
        OBJECTIVE, model(batch_of(rows, every=True)), batch_of(rows, every=True), [4, 3]
    )
    torch.testing.assert_close(every, loss)


def test_a_batch_without_ordered_texts_costs_nothing(model, rows):
    batch = batch_of(rows)
    batch = replace(batch, order=torch.full_like(batch.order, IGNORE))
    terms = build_loss([{"use": "order"}])
    loss, _ = terms(OBJECTIVE, model(batch), batch, terms.counts(OBJECTIVE, batch))
    assert loss.item() == 0
    loss.backward()


def test_a_shared_block_can_be_run_fewer_times(rows):
    config = from_shape(
        {"kind": "albert", "layers": 3, "hidden": 32, "heads": 4, "embedding": 16},
        vocab_size=30,
        pad_id=0,
    )
    deep, shallow = (
        build_masked_model(config, seed=1).eval(),
        build_masked_model(config.with_values(layers=1), seed=1).eval(),
    )
    batch = batch_of(rows)
    with torch.no_grad():
        assert not torch.equal(deep(batch).logits, shallow(batch).logits)
        deep.encoder.depth = 1
        assert torch.equal(deep(batch).logits, shallow(batch).logits)


def test_parts_are_the_rows_in_order(rows):
    batch = batch_of(rows)
    one, other = split_rows(batch, 1)
    assert torch.equal(torch.cat([one.input_ids, other.input_ids]), batch.input_ids)
    assert torch.equal(torch.cat([one.order, other.order]), batch.order)
