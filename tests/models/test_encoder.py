from __future__ import annotations

import dataclasses

import pytest
import torch

from destila.errors import ModelError
from destila.models import attention
from destila.models.encoder import Encoder
from destila.models.heads import build_model

KINDS = ("bert", "roberta", "albert", "distilbert")


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str, small_config, ragged_batch):
    model = build_model(small_config(kind), "tag", ("a", "b"), seed=3).eval()
    batch = ragged_batch((9, 4, 13))
    together = model(batch).logits
    for row, length in enumerate((9, 4, 13)):
        alone = model.answer(
            batch.input_ids[row : row + 1, :length], None, batch.type_ids[row : row + 1, :length]
        )
        torch.testing.assert_close(together[row, :length], alone.logits[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_and_the_plain_attention_agree(
    kind: str, small_config, ragged_batch, monkeypatch
):
    model = build_model(small_config(kind), "tag", ("a", "b"), seed=3).eval()
    batch = ragged_batch((9, 4, 13))
    plain = model(batch).logits
    monkeypatch.setattr(attention, "FUSED_FROM", 1)
    fused = model(batch).logits
    torch.testing.assert_close(plain[batch.mask], fused[batch.mask], rtol=0, atol=1e-5)


def test_states_come_only_when_asked_for(small_config, ragged_batch):
    model = build_model(small_config("albert"), "classify", ("a", "b", "c"), seed=0).eval()
    batch = ragged_batch((5, 2))
    bare = model(batch)
    assert (bare.states, bare.logits.shape) == ({}, (2, 3))
    wide = [("hidden", n) for n in range(4)] + [(kind, 2) for kind in ("query", "key", "value")]
    maps = [(kind, n) for kind in ("attention", "scores") for n in (1, 2, 3)]
    full = model(batch, states=[*wide, *maps])
    assert {s: tuple(full.states[s].shape) for s in wide} == dict.fromkeys(wide, (2, 5, 40))
    assert {s: tuple(full.states[s].shape) for s in maps} == dict.fromkeys(maps, (2, 4, 5, 5))
    assert set(full.states) == {*wide, *maps}
    torch.testing.assert_close(full.logits, bare.logits)
    attention, scores = full.states["attention", 1], full.states["scores", 1]
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 4, 5))
    assert attention[1, :, :, 2:].abs().max() == scores[1, :, :, 2:].abs().max() == 0
    torch.testing.assert_close(scores[0].softmax(-1), attention[0])
    heads = (2, 5, 4, 10)
    q, k = (full.states[kind, 2].view(heads).transpose(1, 2) for kind in ("query", "key"))
    torch.testing.assert_close((q @ k.mT / 10**0.5)[0], full.states["scores", 2][0])


def test_a_row_of_pads_only_is_finite(small_config, ragged_batch):
    batch = ragged_batch((5, 2))
    batch = dataclasses.replace(batch, mask=batch.mask & torch.tensor([[True], [False]]))
    model = build_model(small_config("bert"), "tag", ("a", "b"), seed=0)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert model(batch).logits.isfinite().all()


def test_logits_are_float32_under_autocast(small_config, ragged_batch):
    model = build_model(small_config("bert"), "classify", ("a", "b"), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(ragged_batch((5, 2))).logits.dtype == torch.float32


def test_pads_get_no_gradient(small_config, ragged_batch):
    model = build_model(
        small_config("albert", dropout=0.0, attention_dropout=0.0), "tag", ("a", "b"), seed=0
    )
    batch = ragged_batch((5, 2))
    model(batch).logits[batch.mask].square().sum().backward()
    table = model.encoder.embeddings.word.weight.grad
    assert table is not None
    assert table[1].abs().max() == 0  # id 1 is the pad
    assert table.abs().max() > 0


def test_all_passes_of_a_shared_block_train_the_same_weights(small_config):
    assert len(Encoder(small_config("albert")).blocks) == 1
    assert len(Encoder(small_config("bert")).blocks) == 3


def test_a_text_longer_than_the_positions_is_refused(small_config):
    model = build_model(small_config("roberta"), "tag", ("a",), seed=0)
    with pytest.raises(ModelError, match="25 tokens, but the encoder has positions for 24"):
        model.answer(torch.full((1, 25), 5), None, None)


def test_the_same_seed_gives_the_same_head_on_another_depth(small_config):
    one = build_model(small_config("albert"), "classify", ("a", "b"), seed=7)
    other = build_model(small_config("albert", layers=5), "classify", ("a", "b"), seed=7)
    assert torch.equal(one.head.dense.weight, other.head.dense.weight)
    third = build_model(small_config("albert"), "classify", ("a", "b"), seed=8)
    assert not torch.equal(one.head.dense.weight, third.head.dense.weight)


def test_new_weights_are_normal_and_leave_global_state_alone(small_config):
    """New weights are normal with the config's deviation and touch no global state."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = build_model(
        small_config("bert", vocab_size=5000, init_range=0.02), "classify", ("a", "b"), seed=0
    )
    assert torch.equal(before, torch.get_rng_state())
    assert model.encoder.embeddings.word.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert model.encoder.blocks[0].query.bias.abs().max() == 0
    assert model.encoder.blocks[0].ffn_norm.weight.unique().tolist() == [1.0]


def test_dropout_works_in_training_only_and_by_config(small_config, ragged_batch):
    batch = ragged_batch((5, 2))
    wet = build_model(small_config("bert"), "classify", ("a", "b"), seed=0)
    assert not torch.equal(wet(batch).logits, wet(batch).logits)
    wet.eval()
    assert torch.equal(wet(batch).logits, wet(batch).logits)
    dry = small_config("bert", dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0)
    model = build_model(dry, "classify", ("a", "b"), seed=0)
    assert torch.equal(model(batch).logits, model(batch).logits)


@pytest.mark.parametrize("labels", [(), ("a", "a")])
def test_a_head_needs_distinct_labels(labels: tuple[str, ...], small_config):
    with pytest.raises(ModelError, match="labels"):
        build_model(small_config("bert"), "tag", labels, seed=0)


def test_an_unknown_task_is_refused(small_config):
    with pytest.raises(ModelError, match="classify, tag"):
        build_model(small_config("bert"), "parse", ("a",), seed=0)
