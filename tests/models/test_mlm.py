"""The masked-language-model head against transformers, both ways, and what a folder must have to be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from destila.errors import ModelError
from destila.models import hf, store
from destila.models.heads import build_model
from destila.models.mlm import build_masked_model
from destila.types import IGNORE

KINDS = ("bert", "roberta", "albert", "distilbert")
LENGTHS = (9, 3, 17, 12)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def transformers_model(folder: Path):
    import transformers

    return transformers.AutoModelForMaskedLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()


def logits_of(model, batch) -> torch.Tensor:
    types = {} if model.config.model_type == "distilbert" else {"token_type_ids": batch.type_ids}
    with torch.no_grad():
        return model(input_ids=batch.input_ids, attention_mask=batch.mask.long(), **types).logits[
            batch.mask
        ]


def their_folder(folder: Path, kind: str, tokenizer) -> Path:
    """A folder that transformers saved, of a random model; RoBERTa's encoder has another activation than its head."""
    import transformers

    common = {
        "vocab_size": 20,
        "max_position_embeddings": 26,
        "initializer_range": 0.2,
        "pad_token_id": 1,
    }
    size = {
        "hidden_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 72,
    }
    config = {
        "bert": lambda: transformers.BertConfig(
            hidden_act="gelu_new", layer_norm_eps=1e-5, **size, **common
        ),
        "roberta": lambda: transformers.RobertaConfig(
            hidden_act="relu", type_vocab_size=1, **size, **common
        ),
        "albert": lambda: transformers.AlbertConfig(embedding_size=12, **size, **common),
        "distilbert": lambda: transformers.DistilBertConfig(
            dim=40, n_layers=3, n_heads=4, hidden_dim=72, activation="relu", **common
        ),
    }[kind]()
    torch.manual_seed(11)
    model = transformers.AutoModelForMaskedLM.from_config(config)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:  # fresh biases are 0 and norms 1, which would hide a mix-up
                value.add_(torch.randn_like(value) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_their_weights_give_their_logits(kind: str, tmp_path: Path, tokenizer, ragged_batch):
    folder = their_folder(tmp_path / "theirs", kind, tokenizer)
    model, _, report = hf.load_masked(folder)
    assert (report.missing, report.extra, report.new_head) == ((), (), False)
    batch = ragged_batch(LENGTHS, types=1 if kind == "roberta" else 2)
    reference = logits_of(transformers_model(folder), batch)
    with torch.no_grad():
        ours = model.eval()(replace(batch, unit_mask=batch.mask), states=[("hidden", 3)])
    assert (ours.logits[0] - reference).abs().max() < 1e-5
    assert reference.abs().max() > 0.1
    assert ours.states["hidden", 3].shape == (4, 17, 40)


@pytest.mark.parametrize("kind", KINDS)
def test_our_folder_loads_in_transformers_and_here(
    kind: str, tmp_path, tokenizer, small_config, ragged_batch
):
    model = build_masked_model(small_config(kind), seed=2).eval()
    with torch.no_grad():
        model.head.bias.normal_()
    store.save_model(model, tokenizer, tmp_path / "ours")
    batch = ragged_batch(LENGTHS, types=1 if kind == "roberta" else 2)
    with torch.no_grad():
        before = model.at(batch, batch.mask)
    assert (logits_of(transformers_model(tmp_path / "ours"), batch) - before).abs().max() < 1e-5
    again, _, report = hf.load_masked(tmp_path / "ours")
    assert (again.config, report.missing) == (model.config, ())
    with torch.no_grad():
        assert torch.equal(again.eval().at(batch, batch.mask), before)
    tagger = hf.load(tmp_path / "ours", task="tag", labels=("O", "B-PER"))
    assert torch.equal(
        tagger.model.encoder.embeddings.word.weight, model.encoder.embeddings.word.weight
    )


def test_logits_of_some_tokens_are_those_of_all(small_config, ragged_batch):
    model, batch = build_masked_model(small_config("albert"), seed=2).eval(), ragged_batch(LENGTHS)
    where = torch.zeros_like(batch.mask)
    where[0, 3] = where[2, 16] = where[2, 0] = True
    with torch.no_grad():
        every = model(replace(batch, unit_mask=torch.ones_like(where))).logits.view(
            *where.shape, -1
        )
        torch.testing.assert_close(model.at(batch, where), every[where], rtol=0, atol=1e-6)
        torch.testing.assert_close(
            model(replace(batch, unit_mask=where)).logits[0], every[where], rtol=0, atol=1e-6
        )


def test_the_same_seed_gives_the_encoder_of_any_other_head(small_config):
    tagger = build_model(small_config("bert"), "tag", ("O", "B-PER"), seed=3)
    masked = build_masked_model(small_config("bert"), seed=3)
    assert torch.equal(masked.encoder.blocks[1].up.weight, tagger.encoder.blocks[1].up.weight)
    assert len(list(masked.head.parameters())) == 5  # the token table is not among them


def test_a_folder_without_the_head_is_refused_or_gets_one(tmp_path, tokenizer, small_config):
    """A folder without the head is refused or given a new one."""
    store.save_model(
        build_model(small_config("bert"), "tag", ("O", "B-PER"), seed=3),
        tokenizer,
        tmp_path / "tagger",
    )
    with pytest.raises(
        ModelError, match=r"BertForTokenClassification\) has no masked-language-model head"
    ):
        hf.load_masked(tmp_path / "tagger")
    model, _, report = hf.load_masked(tmp_path / "tagger", head_required=False)
    assert report.new_head
    assert len(report.missing) == 5
    assert (model.head.norm.weight == 1.0).all()


def test_an_output_table_of_its_own_is_refused(tmp_path, tokenizer, small_config):
    store.save_model(
        build_masked_model(small_config("bert"), seed=3), tokenizer, tmp_path / "untied"
    )
    path = tmp_path / "untied" / "model.safetensors"
    tensors = load_file(path)
    tensors["cls.predictions.decoder.weight"] = tensors[
        "bert.embeddings.word_embeddings.weight"
    ].clone()
    save_file(tensors, path)
    assert hf.load_masked(tmp_path / "untied")[2].extra == ()
    tensors["cls.predictions.decoder.weight"] += 1
    save_file(tensors, path)
    with pytest.raises(ModelError, match="not tied to its token table"):
        hf.load_masked(tmp_path / "untied")


def test_fewer_layers_can_be_taken(tmp_path, tokenizer, small_config):
    store.save_model(
        build_masked_model(small_config("roberta"), seed=3), tokenizer, tmp_path / "deep"
    )
    assert hf.load_masked(tmp_path / "deep", layers=2)[0].config.layers == 2


@pytest.mark.parametrize("kind", ["albert", "bert"])
def test_the_order_head_is_that_of_transformers(
    kind: str, tmp_path, tokenizer, small_config, ragged_batch
):
    import transformers

    model = build_masked_model(small_config(kind), seed=2, order=True).eval()
    store.save_model(model, tokenizer, tmp_path / "ours")
    loaded, info = transformers.AutoModelForPreTraining.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert (info["missing_keys"], info["unexpected_keys"]) in ((set(), set()), ([], []))
    batch = ragged_batch(LENGTHS)
    order = torch.full_like(batch.input_ids, IGNORE)
    order[0, 0] = order[2, 0] = 1
    with torch.no_grad():
        ours = model(replace(batch, unit_mask=batch.mask, order=order))
        answer = loaded.eval()(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            token_type_ids=batch.type_ids,
        )
    reference = answer.sop_logits if kind == "albert" else answer.seq_relationship_logits
    assert (ours.order - reference[[0, 2]]).abs().max() < 1e-5
    assert (ours.logits[0] - answer.prediction_logits[batch.mask]).abs().max() < 1e-5
    again, _, report = hf.load_masked(tmp_path / "ours", order=True)
    assert report.missing == ()
    assert torch.equal(again.order.classifier.weight, model.order.classifier.weight)
    pooled = hf.load(tmp_path / "ours", task="classify", labels=("a", "b")).model.head.dense.weight
    assert torch.equal(pooled, model.order.dense.weight)


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_architectures_without_an_order_head_say_so(kind, small_config):
    with pytest.raises(ModelError, match="no sentence-order head"):
        build_masked_model(small_config(kind), seed=2, order=True)


def test_an_order_head_that_a_folder_lacks_is_new(tmp_path, tokenizer, small_config):
    store.save_model(
        build_masked_model(small_config("albert"), seed=3), tokenizer, tmp_path / "mlm"
    )
    model, _, report = hf.load_masked(tmp_path / "mlm", order=True)
    assert set(report.missing) == {
        f"order.{p}.{q}" for p in ("dense", "classifier") for q in ("weight", "bias")
    }
    assert model.order.classifier.weight.std() > 0
