"""Our encoder against transformers, both ways: their random weights in our modules, our folders in their classes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from destila.models import hf, store
from destila.models.heads import build_model
from destila.types import Batch

KINDS = ("bert", "roberta", "albert", "distilbert")
LABELS = {"classify": ("no", "quizás", "sí"), "tag": ("B-PER", "I-PER", "O", "B-LOC")}
LENGTHS = (9, 3, 17, 12)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")


def transformers_model(folder: Path, task: str):
    import transformers

    auto = {
        "classify": transformers.AutoModelForSequenceClassification,
        "tag": transformers.AutoModelForTokenClassification,
    }
    return auto[task].from_pretrained(folder, attn_implementation="eager").eval()


def answer(model, batch: Batch):
    inputs = {
        "input_ids": batch.input_ids,
        "attention_mask": batch.mask.long(),
        "token_type_ids": batch.type_ids,
    }
    if model.config.model_type == "distilbert":
        del inputs["token_type_ids"]
    with torch.no_grad():
        return model(**inputs, output_hidden_states=True, output_attentions=True)


def states_of(model) -> list[tuple[str, int]]:
    layers = range(model.config.layers + 1)
    return [("hidden", n) for n in layers] + [("attention", n) for n in layers[1:]]


def every(output, wanted: str) -> list[torch.Tensor]:
    return [value for (kind, _), value in sorted(output.states.items()) if kind == wanted]


def differences(ours, reference, batch: Batch, task: str) -> dict[str, tuple[float, float]]:
    """Largest difference and largest value of logits, hidden states and attentions, pads excluded."""
    real = batch.mask
    both = (real[:, :, None] & real[:, None, :])[:, None]
    tokens = [
        ("hidden", a[real], b[real])
        for a, b in zip(every(ours, "hidden"), reference.hidden_states, strict=True)
    ]
    pairs = [
        ("attention", a.masked_select(both), b.masked_select(both))
        for a, b in zip(every(ours, "attention"), reference.attentions, strict=True)
    ]
    logits = [("logits", ours.logits, reference.logits)]
    if task == "tag":
        logits = [("logits", ours.logits[real], reference.logits[real])]
    gaps: dict[str, tuple[float, float]] = {}
    for name, a, b in (*tokens, *pairs, *logits):
        worst, largest = gaps.get(name, (0.0, 0.0))
        gaps[name] = (max(worst, (a - b).abs().max().item()), max(largest, b.abs().max().item()))
    return gaps


def their_folder(folder: Path, kind: str, task: str, tokenizer, scale: float = 1.0) -> Path:
    """A folder that transformers saved, of a random model; scale multiplies the feed-forward matrices, its root the others."""
    import transformers

    names = {"num_labels": len(LABELS[task]), "id2label": dict(enumerate(LABELS[task]))}
    names["label2id"] = {label: i for i, label in enumerate(LABELS[task])}
    common = {
        "vocab_size": 20,
        "max_position_embeddings": 26,
        "initializer_range": 0.2,
        "pad_token_id": 1,
        **names,
    }
    size = {
        "hidden_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 72,
    }
    torch.manual_seed(11)
    if kind == "distilbert":
        config = transformers.DistilBertConfig(
            dim=40, n_layers=3, n_heads=4, hidden_dim=72, **common
        )
    elif kind == "albert":
        config = transformers.AlbertConfig(embedding_size=12, **size, **common)
    else:
        config = {"bert": transformers.BertConfig, "roberta": transformers.RobertaConfig}[kind](
            type_vocab_size=1 if kind == "roberta" else 2, layer_norm_eps=1e-5, **size, **common
        )
    auto = {
        "classify": transformers.AutoModelForSequenceClassification,
        "tag": transformers.AutoModelForTokenClassification,
    }
    model = auto[task].from_config(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() == 1:  # fresh biases are 0 and norms 1, which would hide a mix-up
                value.add_(torch.randn_like(value) * 0.1)
            elif ".layer" in name or "albert_layers" in name:
                value.mul_(scale**0.5 if "attention" in name else scale)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", KINDS)
def test_their_weights_give_their_answers(
    kind: str, task: str, tmp_path: Path, tokenizer, ragged_batch
):
    folder = their_folder(tmp_path / "theirs", kind, task, tokenizer)
    loaded = hf.load(folder, head_required=True)
    assert (loaded.model.task, loaded.model.labels) == (task, LABELS[task])
    assert (loaded.report.missing, loaded.report.extra, loaded.report.new_head) == ((), (), False)
    batch = ragged_batch(LENGTHS, types=1 if kind == "roberta" else 2)
    with torch.no_grad():
        ours = loaded.model.eval()(batch, states=states_of(loaded.model))
        fast = loaded.model(batch).logits
    gaps = differences(ours, answer(transformers_model(folder, task), batch), batch, task)
    assert set(gaps) == {"logits", "hidden", "attention"}
    for name, (worst, largest) in gaps.items():
        assert worst < 1e-5, name
        assert largest > 0.1, f"{name} are too small to show a difference"
    torch.testing.assert_close(fast, ours.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_large_activations_agree_relative_to_their_size(
    kind: str, tmp_path: Path, tokenizer, ragged_batch
):
    folder = their_folder(tmp_path / "theirs", kind, "tag", tokenizer, scale=20.0)
    loaded = hf.load(folder)
    batch = ragged_batch(LENGTHS, types=1 if kind == "roberta" else 2, seed=4)
    inner: list[float] = []
    loaded.model.encoder.blocks[0].down.register_forward_hook(
        lambda m, i, o: inner.append(o.abs().max().item())
    )
    with torch.no_grad():
        ours = loaded.model.eval()(batch, states=states_of(loaded.model))
    assert max(inner) > 1000
    for name, (worst, largest) in differences(
        ours, answer(transformers_model(folder, "tag"), batch), batch, "tag"
    ).items():
        assert worst / largest < 2e-5, name


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", KINDS)
def test_our_folder_loads_in_transformers_and_here(
    kind: str, task: str, tmp_path: Path, tokenizer, small_config, ragged_batch
):
    model = build_model(small_config(kind), task, LABELS[task], seed=2).eval()
    store.save_model(model, tokenizer, tmp_path / "ours")
    batch = ragged_batch(LENGTHS, types=1 if kind == "roberta" else 2)
    with torch.no_grad():
        before = model(batch, states=states_of(model))
    reference = transformers_model(tmp_path / "ours", task)
    assert tuple(reference.config.id2label[i] for i in range(len(LABELS[task]))) == LABELS[task]
    for name, (worst, _) in differences(before, answer(reference, batch), batch, task).items():
        assert worst < 1e-5, name
    again = hf.load(tmp_path / "ours", head_required=True).model.eval()
    assert again.config == model.config
    with torch.no_grad():
        assert torch.equal(again(batch).logits, model(batch).logits)


@pytest.mark.parametrize("kind", ["albert", "distilbert"])
def test_a_transformers_pipeline_runs_on_our_folder(
    kind: str, tmp_path: Path, tokenizer, small_config
):
    import transformers

    model = build_model(small_config(kind), "classify", LABELS["classify"], seed=2).eval()
    store.save_model(model, tokenizer, tmp_path / "ours")
    pipe = transformers.pipeline("text-classification", model=str(tmp_path / "ours"), device="cpu")
    answered = pipe("El perro come.")[0]
    ids, types, _, _ = tokenizer.frame(tokenizer.text(["El perro come."])[0])
    with torch.no_grad():
        logits = model.answer(
            torch.tensor(ids[None]).long(), None, torch.tensor(types[None]).long()
        ).logits
    best = int(logits.argmax())
    assert answered["label"] == LABELS["classify"][best]
    assert answered["score"] == pytest.approx(logits.softmax(-1)[0, best].item(), abs=1e-5)
