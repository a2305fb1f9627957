"""Models with a factorised token table: near the wide one, and readable by transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.errors import ConfigError
from destila.models import hf, mlm, store
from destila.models.heads import build_model
from destila.models.smaller.factorise import factorise_embeddings


@pytest.fixture
def bert(small_config):
    return build_model(small_config("bert"), "tag", ("O", "B-X"), seed=0).eval()


def distance(model, other, pieces: list[int]) -> float:
    """Return the mean squared difference of the embedding outputs of some pieces."""
    ids = torch.tensor([pieces])
    with torch.no_grad():
        one, two = (embedded(m.encoder, ids) for m in (model, other))
    return float((one - two).square().mean())


def embedded(encoder, ids):
    [state] = encoder(ids, states=[("hidden", 0)]).kept.values()
    return state


def test_layers_and_head_are_kept_and_the_table_is_narrow(bert):
    narrow = factorise_embeddings(bert, 16)
    assert narrow.config.embedding == 16
    assert narrow.encoder.embeddings.word.weight.shape == (20, 16)
    assert torch.equal(narrow.encoder.blocks[2].up.weight, bert.encoder.blocks[2].up.weight)
    assert torch.equal(narrow.head.classifier.weight, bert.head.classifier.weight)


def test_a_wider_table_is_nearer(bert):
    each = [
        distance(factorise_embeddings(bert, width).eval(), bert, list(range(20)))
        for width in (4, 8, 16)
    ]
    assert each[0] > each[1] > each[2]


def test_pieces_that_occur_often_are_nearer(bert):
    counts = np.ones(20, np.int64)
    counts[:4] = 10_000
    common = [
        distance(factorise_embeddings(bert, 6, c).eval(), bert, [0, 1, 2, 3])
        for c in (None, counts)
    ]
    assert common[1] < common[0]


def test_transformers_reads_as_many_groups_as_layers(bert, tokenizer, tmp_path, ragged_batch):
    """A saved model is an ALBERT with a group for every layer, and says the same in transformers."""
    from transformers import AutoModelForTokenClassification

    narrow = factorise_embeddings(bert, 12).eval()
    store.save_model(narrow, tokenizer, tmp_path / "m")
    reference = AutoModelForTokenClassification.from_pretrained(tmp_path / "m").eval()
    batch = ragged_batch((9, 5))
    with torch.no_grad():
        ours = narrow(batch).logits
        other = reference(batch.input_ids, batch.mask.long(), batch.type_ids).logits
    assert torch.allclose(ours[batch.mask], other[batch.mask], atol=1e-5)


def test_layers_of_a_saved_one_can_be_picked(bert, tokenizer, tmp_path):
    store.save_model(factorise_embeddings(bert, 12), tokenizer, tmp_path / "m")
    picked = hf.load(tmp_path / "m", layers=[0, 2]).model
    assert len(picked.encoder.blocks) == 2
    assert torch.equal(picked.encoder.blocks[1].up.weight, bert.encoder.blocks[2].up.weight)


def test_an_encoder_is_saved_without_its_head(small_config, tokenizer, tmp_path, ragged_batch):
    """A head that nothing has trained is left out; transformers reads the encoder alone."""
    from transformers import AutoModel

    wide = mlm.build_masked_model(small_config("bert"), 0)
    narrow = factorise_embeddings(wide, 12).eval()
    store.save_model(narrow, tokenizer, tmp_path / "m", headless=True)
    reference = AutoModel.from_pretrained(tmp_path / "m").eval()
    batch = ragged_batch((9, 5))
    with torch.no_grad():
        ours = narrow.encoder(batch.input_ids, batch.mask, batch.type_ids).last
        other = reference(batch.input_ids, batch.mask.long(), batch.type_ids).last_hidden_state
    assert torch.allclose(ours[batch.mask], other[batch.mask], atol=1e-5)
    assert hf.load(tmp_path / "m", task="tag", labels=("O",)).report.new_head


def test_a_masked_language_model_is_factorised_too(small_config):
    narrow = factorise_embeddings(mlm.build_masked_model(small_config("bert"), 0), 12)
    assert narrow.head.dense.weight.shape == (12, 40)


@pytest.mark.parametrize(("kind", "width"), [("albert", 6), ("bert", 40)])
def test_other_kinds_and_widths_are_refused(small_config, kind, width):
    with pytest.raises(ConfigError, match="only a bert is factorised"):
        factorise_embeddings(build_model(small_config(kind), "tag", ("O",), 0), width)


def test_a_number_of_groups_between_is_refused(bert, tokenizer, tmp_path):
    from destila.errors import ModelError
    from destila.models import hf_config

    data = hf_config.hf_config_of(factorise_embeddings(bert, 12).config, "tag", ("O", "B-X"))
    with pytest.raises(ModelError, match="num_hidden_groups = 2"):
        hf_config.read_hf_config(data | {"num_hidden_groups": 2}, where="m")
