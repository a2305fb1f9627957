"""What loading says and refuses: heads, labels, depths, files, vocabularies."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from destila.errors import ModelError
from destila.models import hf, store
from destila.models.heads import build_model
from destila.models.presets import PRESETS

LABELS = ("rojo", "verde", "azul")


@pytest.fixture
def saved(tmp_path: Path, tokenizer, small_config):
    """Saves a model of a kind and gives it and its folder."""

    def save(kind: str, task: str = "classify", **values):
        model = build_model(small_config(kind, **values), task, LABELS, seed=1).eval()
        store.save_model(model, tokenizer, tmp_path / kind)
        return model, tmp_path / kind

    return save


def edit(folder: Path, change) -> None:
    """Rewrites a folder's weights after `change` altered the dict of them."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def edit_config(folder: Path, **values) -> None:
    path = folder / "config.json"
    data = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def test_labels_in_another_order_reorder_the_rows_of_the_head(saved, ragged_batch):
    model, folder = saved("bert")
    loaded = hf.load(folder, labels=("azul", "rojo", "verde"), head_required=True)
    batch = ragged_batch((7, 4))
    torch.testing.assert_close(loaded.model.eval()(batch).logits, model(batch).logits[:, [2, 0, 1]])
    assert loaded.model.labels == ("azul", "rojo", "verde")


@pytest.mark.parametrize(
    ("labels", "says"),
    [(("sí", "no"), "it has 3 labels, 2 are needed"), (("rojo", "verde", "gris"), "without gris")],
)
def test_other_labels_get_a_new_head_and_the_report_says_why(labels, says, saved):
    model, folder = saved("albert")
    loaded = hf.load(folder, labels=labels, seed=4)
    assert loaded.report.new_head
    assert says in loaded.report.reason
    assert loaded.report.missing == ("head.classifier.weight", "head.classifier.bias")
    assert torch.equal(
        loaded.model.head.dense.weight, model.head.dense.weight
    )  # the pooler is kept
    again = hf.load(folder, labels=labels, seed=4)
    assert torch.equal(again.model.head.classifier.weight, loaded.model.head.classifier.weight)
    with pytest.raises(ModelError, match=says):
        hf.load(folder, labels=labels, head_required=True)


def test_a_head_without_label_names_cannot_be_matched(saved):
    _, folder = saved("bert")
    edit_config(folder, id2label=None, label2id=None)
    assert hf.load(folder, labels=LABELS).report.reason == "its config.json names no labels"


def test_a_folder_for_another_task_is_refused(saved):
    """A folder for another task is refused when its head is needed."""
    _, folder = saved("bert", "tag")
    with pytest.raises(ModelError, match="BertForTokenClassification, the task is 'classify'"):
        hf.load(folder, task="classify", head_required=True)
    report = hf.load(folder, task="classify").report
    assert report.new_head
    assert {"head.dense.weight", "head.classifier.bias"} < set(report.missing)


def test_a_masked_model_gives_its_encoder_and_a_new_pooler(saved):
    """A masked language model gives its encoder and a new pooler."""
    model, folder = saved("albert")
    edit_config(folder, architectures=["AlbertForMaskedLM"], id2label=None, label2id=None)

    def to_mlm(tensors):
        for name in [n for n in tensors if n.startswith(("classifier", "albert.pooler"))]:
            del tensors[name]
        tensors["predictions.bias"] = torch.zeros(20)

    edit(folder, to_mlm)
    with pytest.raises(ModelError, match=r"AlbertForMaskedLM.*names no task"):
        hf.load(folder)
    loaded = hf.load(folder, task="classify", labels=("a", "b"))
    assert set(loaded.report.missing) == {
        f"head.{m}.{p}" for m in ("dense", "classifier") for p in ("weight", "bias")
    }
    assert loaded.report.extra == ("predictions.bias",)
    assert torch.equal(loaded.model.encoder.blocks[0].up.weight, model.encoder.blocks[0].up.weight)


def test_missing_weights_of_the_encoder_stop_the_load_by_name(saved):
    _, folder = saved("bert")
    edit(folder, lambda tensors: tensors.pop("bert.encoder.layer.1.output.dense.bias"))
    with pytest.raises(
        ModelError, match=r"1 weights.*bert\.encoder\.layer\.1\.output\.dense\.bias"
    ):
        hf.load(folder)


def test_a_promised_head_without_weights_is_new_or_refused(saved):
    """A head that config promises and weights lack is new or refused."""
    _, folder = saved("roberta")
    edit(folder, lambda tensors: tensors.pop("classifier.out_proj.weight"))
    assert hf.load(folder).report.reason == "the folder has no head.classifier.weight"
    with pytest.raises(ModelError, match=r"head\.classifier\.weight"):
        hf.load(folder, head_required=True)


def test_extra_weights_are_in_the_report(saved):
    _, folder = saved("distilbert")
    edit(folder, lambda tensors: tensors.update({"qa_outputs.weight": torch.zeros(2, 40)}))
    assert hf.load(folder).report.extra == ("qa_outputs.weight",)


def test_a_shape_that_differs_from_the_config_is_named(saved):
    _, folder = saved("bert")
    edit_config(folder, intermediate_size=70)
    with pytest.raises(
        ModelError,
        match=r"intermediate\.dense\.weight' is \(72, 40\), config\.json says \(70, 40\)",
    ):
        hf.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_by_name(value: float, saved):
    _, folder = saved("bert")
    edit(folder, lambda tensors: tensors["bert.pooler.dense.weight"].view(-1)[5].fill_(value))
    with pytest.raises(ModelError, match=r"'bert\.pooler\.dense\.weight' holds NaN or infinite"):
        hf.load(folder)


def test_half_precision_weights_become_float32(saved):
    model, folder = saved("bert")
    edit(folder, lambda tensors: tensors.update({n: t.half() for n, t in tensors.items()}))
    loaded = hf.load(folder).model
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(
        loaded.head.dense.weight, model.head.dense.weight, rtol=1e-3, atol=1e-3
    )


def test_old_names_and_prefixes_are_understood(saved):
    """Old names, module prefixes and bodies without prefix are understood."""
    model, folder = saved("bert", "tag")

    def age(tensors):
        for name in list(tensors):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
            tensors["module." + old.removeprefix("bert.")] = tensors.pop(name)

    edit(folder, age)
    loaded = hf.load(folder, head_required=True)
    assert loaded.report.missing == ()
    for name, value in model.named_parameters():
        assert torch.equal(loaded.model.get_parameter(name), value), name


@pytest.fixture
def old_folder(saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with pytorch_model.bin only, with two names that share one tensor, and a cache of its own."""
    model, folder = saved("albert")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    word = tensors["albert.embeddings.word_embeddings.weight"]
    torch.save({**tensors, "predictions.decoder.weight": word}, folder / "pytorch_model.bin")
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    return model, folder


def test_a_bin_is_converted_once_and_said_aloud(
    old_folder, caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    model, folder = old_folder
    with caplog.at_level(logging.WARNING):
        first = hf.load(folder)
    assert first.report.converted
    assert "converting" in caplog.text
    assert torch.equal(first.model.head.dense.weight, model.head.dense.weight)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        hf.load(folder)
    assert "converting" not in caplog.text
    assert len(list((tmp_path / "cache" / "converted").iterdir())) == 1
    assert not (folder / "model.safetensors").exists()


class _Code:
    def __reduce__(self):
        return (print, ("run",))


def test_a_bin_with_code_in_it_is_refused_and_not_run(old_folder, capsys: pytest.CaptureFixture):
    _, folder = old_folder
    torch.save({"a": _Code()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be read as plain weights"):
        hf.load(folder)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_a_damaged_bin_is_one_clear_error(content: bytes, old_folder):
    _, folder = old_folder
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin cannot be read"):
        hf.load(folder)


def test_a_truncated_safetensors_is_one_clear_error(saved):
    _, folder = saved("bert")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged or incomplete"):
        hf.load(folder)


def test_weights_in_several_files_are_put_together(saved):
    model, folder = saved("bert")
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[:10], "b.safetensors": names[10:]}
    for file, part in parts.items():
        save_file({n: tensors[n] for n in part}, folder / file)
    index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    assert torch.equal(hf.load(folder).model.head.dense.bias, model.head.dense.bias)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"not there: b\.safetensors"):
        hf.load(folder)


def test_a_folder_without_weights_is_refused(saved):
    _, folder = saved("bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        hf.load(folder)


def test_a_shared_block_is_used_at_any_depth(saved, ragged_batch):
    model, folder = saved("albert")
    batch = ragged_batch((7, 4))
    shallow = hf.load(folder, layers=2).model.eval()
    states = model(batch, states=[("hidden", 2)]).states
    assert torch.equal(
        shallow.encoder(batch.input_ids, batch.mask, batch.type_ids).last, states["hidden", 2]
    )
    assert shallow.config.layers == 2
    assert hf.load(folder, layers=5).model.config.layers == 5


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_layers_can_be_picked_from_an_unshared_encoder(kind: str, saved):
    model, folder = saved(kind)
    loaded = hf.load(folder, layers=[0, 2])
    for layer, origin in ((0, 0), (1, 2)):
        block = loaded.model.encoder.blocks[layer].state_dict()
        for name, value in model.encoder.blocks[origin].state_dict().items():
            assert torch.equal(block[name], value), name
    assert (loaded.model.config.layers, loaded.report.extra) == (2, ())


def test_a_number_of_layers_means_the_first_ones(small_config):
    config = small_config("bert", layers=12)
    assert hf._picks(config, 3, "x") == [0, 1, 2]
    assert hf._picks(config, 12, "x") == list(range(12))


@pytest.mark.parametrize(
    ("kind", "layers", "says"),
    [
        ("bert", 4, "layers = 4, the model has 3"),
        ("bert", [0, 3], "has 0 to 2"),
        ("bert", [], "has 0 to 2"),
        ("albert", [0, 1], "one block, so give their number"),
        ("albert", 0, "layers = 0"),
    ],
)
def test_layers_that_do_not_exist_are_refused(kind: str, layers, says: str, saved):
    _, folder = saved(kind)
    with pytest.raises(ModelError, match=says):
        hf.load(folder, layers=layers)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is not an encoder known here"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"hidden_act": "silu"}, "activation 'silu' is not known"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ({"num_attention_heads": 7}, "heads = 7 does not divide hidden = 40"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must number its labels 0 to 1"),
        ({"vocab_size": 11}, "the tokenizer has 20 pieces, the model rows for 11"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused_by_name(change: dict, says: str, saved):
    _, folder = saved("bert")
    edit_config(folder, **change)
    with pytest.raises(ModelError, match=says):
        hf.load(folder)


def test_the_padding_id_is_the_tokenizers(saved):
    """The tokenizer knows the padding id better than the config."""
    _, folder = saved("distilbert")
    edit_config(folder, pad_token_id=0)
    assert hf.load(folder).model.config.pad_id == 1


def test_a_roberta_with_another_padding_id_is_refused(saved):
    """A RoBERTa whose padding id moves its positions is refused."""
    _, folder = saved("roberta")
    edit_config(folder, pad_token_id=3)
    with pytest.raises(ModelError, match="padding id 3 in the model, 1 in the tokenizer"):
        hf.load(folder)


def test_a_preset_is_new_weights_for_the_callers_tokenizer(tokenizer):
    loaded = hf.load("albeto-tiny", tokenizer=tokenizer, task="tag", labels=("O", "B"), seed=3)
    config = loaded.model.config
    assert (config.vocab_size, config.pad_id, config.bos_id) == (tokenizer.vocab_size, 1, 0)
    assert (config.layers, config.hidden) == (
        PRESETS["albeto-tiny"].layers,
        PRESETS["albeto-tiny"].hidden,
    )
    assert loaded.report.new_head
    again = hf.load("albeto-tiny", tokenizer=tokenizer, task="tag", labels=("O", "B"), seed=3)
    for name, value in loaded.model.named_parameters():
        assert torch.equal(again.model.get_parameter(name), value), name


def test_an_inline_shape_is_a_scratch_model(tokenizer):
    shape = {"kind": "albert", "layers": 2, "hidden": 64}
    loaded = hf.load(shape, tokenizer=tokenizer, task="classify", labels=LABELS, layers=3)
    assert (loaded.model.config.vocab_size, loaded.model.config.layers) == (20, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs a tokenizer"),
        ({"tokenizer": True}, "needs a task"),
        ({"head_required": True}, "no trained weights"),
    ],
)
def test_a_preset_says_what_it_needs(options: dict, says: str, tokenizer):
    options = {k: tokenizer if k == "tokenizer" else v for k, v in options.items()}
    with pytest.raises(ModelError, match=says):
        hf.load("albeto-tiny", **options)


def test_a_config_of_another_vocabulary_is_refused(tokenizer, small_config):
    with pytest.raises(ModelError, match="has 20 pieces, the model rows for 10"):
        hf.load(small_config("bert", vocab_size=10), tokenizer=tokenizer, task="tag", labels=("O",))


@pytest.mark.skipif(
    "not __import__('os').environ.get('DESTILA_MODELS')", reason="DESTILA_MODELS is not set"
)
def test_the_starter_model_loads_by_name_at_every_depth():
    loaded = hf.load("mini-es", task="tag", labels=("O", "B-LOC"), layers=2)
    assert loaded.model.config.layers == 2
    assert all(name.startswith("predictions.") for name in loaded.report.extra)
    pieces = loaded.tokenizer.text(["El niño vive en Madrid."])[0]
    ids = torch.from_numpy(loaded.tokenizer.frame(pieces)[0])[None].long()
    assert loaded.model.eval().answer(ids, None, None).logits.isfinite().all()
    deep = hf.load("mini-es", task="classify", labels=("a", "b"))
    assert deep.model.config.layers == 6
    assert {name.split(".")[1] for name in deep.report.missing} == {"dense", "classifier"}
