"""Scores on held-out text: against sums by hand, and of models that read order or do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from destila.errors import DataError
from destila.pretraining.data.word_order import READS_ORDER
from destila.pretraining.heldout import disordered, evaluate_heldout
from destila.tokenizer.word_marks import characters_per_piece, read_word_marks
from destila.types import IGNORE, Batch, Output


class Says(nn.Module):
    """A model of given logits: of every token (`tokens`: Batch -> [B, L, V]) and of every sentence order."""

    def __init__(self, tokens, order=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.5)
        self.tokens, self.order = tokens, order

    def forward(self, batch):
        logits = self.dropout(self.tokens(batch) + self.weight)[batch.unit_mask][None]
        labels = batch.order[batch.order != IGNORE]
        return Output(logits, order=None if self.order is None else self.order(labels))


@pytest.fixture
def batches(bpe, lines):
    """Two batches of two rows of two texts each and a pad; every sixth ordinary token is to be found."""
    special = read_word_marks(bpe).special
    return [_batch([lines[at + i : at + i + 2] for i in (0, 2)], bpe, special) for at in (0, 8)]


def _batch(rows, tokenizer, special):
    texts = [[p.ids for p in tokenizer.text(row)] for row in rows]
    length = max(sum(map(len, row)) for row in texts) + 5
    ids, pair, order = (
        np.full((len(rows), length), fill) for fill in (tokenizer.pad_id, 0, IGNORE)
    )
    for r, row in enumerate(texts):
        start = 0
        for number, text in enumerate(row, 1):
            end = start + len(text) + 2
            ids[r, start:end] = [tokenizer.cls_id, *text, tokenizer.sep_id]
            pair[r, start:end], order[r, start] = number, (r + number) % 3 % 2
            start = end
    chosen = ~special[ids] & (np.arange(length) % 6 == 3)
    arrays = (np.where(chosen, tokenizer.mask_id, ids), np.where(chosen, ids, IGNORE), pair, order)
    masked, target, pair, order = map(torch.from_numpy, arrays)
    zeros = torch.zeros_like(masked)
    return Batch(
        features=(),
        input_ids=masked,
        mask=pair > 0,
        type_ids=zeros,
        unit=zeros,
        first=zeros,
        unit_mask=pair > 0,
        target=target,
        pair=pair,
        order=order,
    )


def score(model, batches, tokenizer, **options):
    return evaluate_heldout(
        model, batches, read_word_marks(tokenizer), characters_per_piece(tokenizer), **options
    )


def constant(tokenizer, piece=None):
    logits = torch.zeros(tokenizer.vocab_size)
    if piece is not None:
        logits[piece] = 5.0
    return lambda batch: logits.expand(*batch.input_ids.shape, -1)


def test_a_model_that_knows_nothing(bpe, batches):
    gold = torch.cat([b.target[b.target != IGNORE] for b in batches])
    found = score(Says(constant(bpe)), batches, bpe)
    assert found["mlm_loss"] == pytest.approx(math.log(bpe.vocab_size))
    bits = len(gold) * math.log2(bpe.vocab_size) / characters_per_piece(bpe)[gold.numpy()].sum()
    assert found["bits_per_character"] == pytest.approx(bits)
    assert found["order_gain"] == pytest.approx(0.0, abs=1e-6)
    assert "sop_accuracy" not in found


def test_accuracy_counts_the_likeliest_piece(bpe, batches):
    gold = torch.cat([b.target[b.target != IGNORE] for b in batches])
    piece = int(gold.mode().values)
    found = score(Says(constant(bpe, piece)), batches, bpe)
    assert found["mlm_accuracy"] == pytest.approx(float((gold == piece).float().mean()))


def test_order_gain_tells_neighbours_from_bags(bpe, batches):
    """A model of neighbours gains by order and one of bags does not."""
    follows = torch.zeros(bpe.vocab_size, bpe.vocab_size)
    for batch in batches:
        row, place = torch.nonzero(batch.target != IGNORE, as_tuple=True)
        follows[batch.input_ids[row, place - 1], batch.target[row, place]] = 8.0

    def neighbours(batch):
        return follows[batch.input_ids.roll(1, dims=1)]

    def bag(batch):
        same = (batch.pair[:, :, None] == batch.pair[:, None]).float()
        return same @ torch.nn.functional.one_hot(batch.input_ids, bpe.vocab_size).float()

    assert score(Says(neighbours), batches, bpe)["order_gain"] > 10 * READS_ORDER
    assert score(Says(bag), batches, bpe)["order_gain"] == pytest.approx(0.0, abs=1e-5)


def test_disorder_moves_neither_targets_nor_masks(bpe, batches):
    for batch in batches:
        mixed = disordered(batch, read_word_marks(bpe), seed=3)
        chosen = batch.target != IGNORE
        assert torch.equal(mixed.target, batch.target)
        assert torch.equal(mixed.input_ids[chosen], batch.input_ids[chosen])
        assert (mixed.input_ids != batch.input_ids).float().mean() > 0.3


def test_sentence_order_counts_pairs_that_have_one(bpe, batches):
    labels = torch.cat([b.order[b.order != IGNORE] for b in batches])
    assert len(labels) > 0

    def swapped(labels):
        return torch.tensor([0.0, 2.0]).expand(len(labels), 2)

    found = score(Says(constant(bpe), swapped), batches, bpe)
    share = float(labels.float().mean())
    assert found["sop_accuracy"] == pytest.approx(share)
    assert found["sop_loss"] == pytest.approx(math.log(1 + math.exp(2)) - 2 * share, abs=1e-5)


def test_evaluation_repeats_and_keeps_the_mode(bpe, batches):
    """Equal arguments give equal scores and the model stays in its mode."""
    random = torch.randn(bpe.vocab_size, bpe.vocab_size, generator=torch.Generator().manual_seed(0))
    model = Says(lambda batch: random[batch.input_ids.roll(1, dims=1)]).train()
    first = score(model, batches, bpe, seed=1)
    assert model.training
    assert score(model, batches, bpe, seed=1) == first
    model.eval()
    assert score(model, batches, bpe, seed=1) == first
    assert not model.training
    assert score(model, batches, bpe, seed=2)["order_gain"] != first["order_gain"]


def test_a_text_without_a_token_to_find_is_refused(bpe):
    with pytest.raises(DataError, match="no token to predict"):
        score(Says(constant(bpe)), [], bpe)
