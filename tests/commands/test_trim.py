"""`destila trim`: a smaller folder that answers alike on the text it was made for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import destila
from destila.commands.trim import Config, run
from destila.errors import ConfigError, DataError
from destila.model_folder import read_folder
from destila.models.hf import config_for, load_masked
from destila.models.mlm import build_masked_model
from destila.models.store import save_model

KINDS = ("bert", "albert", "roberta", "distilbert")


@pytest.fixture
def trimmed(untrained, lines, tmp_path):
    def make(task="classify", labels=("no", "sí"), rows=lines[:6], **options):
        kind = options.pop("kind", "bert")
        model = untrained(task, labels, kind=kind)
        (tmp_path / "texts.txt").write_text("\n".join(rows) + "\n")
        config = Config(
            model=str(model),
            texts=(str(tmp_path / "texts.txt"),),
            out=str(tmp_path / "small"),
            **options,
        )
        return model, run(config)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_on_its_own_text_are_the_same(trimmed, lines, tmp_path, kind):
    model, said = trimmed(kind=kind)
    old, new = (destila.load(folder).predict(lines[:6]) for folder in (model, tmp_path / "small"))
    for one, other in zip(old, new, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=2e-6)
    assert said["pieces"][1] < said["pieces"][0]
    assert said["size_bytes"][1] < said["size_bytes"][0]
    assert said["parameters"][0] - said["parameters"][1] == 16 * (
        said["pieces"][0] - said["pieces"][1]
    )
    assert said["changed_share"] == 0 < said["elsewhere_changed_share"] < 1


def test_taggers_are_counted_word_by_word(trimmed, lines, tmp_path):
    """And the smaller folder keeps what the folder says."""
    model, _ = trimmed("tag", ("O", "B-PER", "I-PER"))
    old, new = (destila.load(folder).predict(lines[:6]) for folder in (model, tmp_path / "small"))
    assert [[(s.start, s.end, s.label) for s in o.spans] for o in old] == [
        [(s.start, s.end, s.label) for s in o.spans] for o in new
    ]
    assert json.loads((tmp_path / "small/destila.json").read_text())["max_length"] == 32


def test_the_effect_on_other_text_is_measured_on_it(trimmed, lines, tmp_path):
    (tmp_path / "other.txt").write_text("\n".join(lines[:3]))
    _, said = trimmed(other=(str(tmp_path / "other.txt"),))
    assert said["elsewhere_changed_share"] == 0


def test_rows_of_json_count_every_string_of_theirs(trimmed, tmp_path, untrained):
    rows = [
        {"text": "niño", "pair": "España"},
        {"words": ["Sevilla"]},
        {"question": "qué", "context": "Málaga"},
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    model = untrained("classify", ("no", "sí"))
    said = run(
        Config(
            model=str(model), texts=(str(tmp_path / "texts.jsonl"),), out=str(tmp_path / "small")
        )
    )
    tokenizer = destila.load(model).labeller.predictor.tokenizer
    words = ["niño", "España", "Sevilla", "qué", "Málaga"]
    assert said["tokens"] == int(np.sum([len(p.ids) for p in tokenizer.text(words)]))


def test_a_folder_is_not_trimmed_onto_itself(untrained, tmp_path):
    model = untrained("classify", ("no", "sí"))
    with pytest.raises(ConfigError, match="is the model itself"):
        run(Config(model=str(model), texts=("x.txt",), out=str(model)))


def test_texts_without_text_are_refused(trimmed):
    with pytest.raises(DataError, match="no text to choose pieces by"):
        trimmed(rows=["", " "])


@pytest.mark.parametrize("headed", [True, False])
def test_a_folder_without_a_task_stays_what_it_is(lines, wordpiece, tmp_path, headed):
    """And its states, and the pieces that it expects, are the same where no piece was lost."""
    shape = {"kind": "bert", "hidden": 16, "layers": 2, "heads": 2, "ffn": 32}
    model = build_masked_model(config_for(shape, wordpiece), 0)
    save_model(model, wordpiece, tmp_path / "whole", headless=not headed)
    (tmp_path / "texts.txt").write_text("\n".join(lines[:6]) + "\n")
    said = run(
        Config(
            model=str(tmp_path / "whole"),
            texts=(str(tmp_path / "texts.txt"),),
            out=str(tmp_path / "small"),
        )
    )

    assert (
        read_folder(tmp_path / "small").architecture == read_folder(tmp_path / "whole").architecture
    )
    assert said["pieces"][1] < said["pieces"][0]
    held = [
        sum(t.numel() for t in load_file(tmp_path / f / "model.safetensors").values())
        for f in ("whole", "small")
    ]
    assert said["parameters"] == held

    old, tokenizer, _ = load_masked(tmp_path / "whole", head_required=headed)
    new, smaller, report = load_masked(tmp_path / "small", head_required=headed)
    assert report.new_head is not headed
    for pieces, fewer in zip(tokenizer.text(lines[:6]), smaller.text(lines[:6]), strict=True):
        a, b = (torch.tensor(p.ids[None], dtype=torch.int64) for p in (pieces, fewer))
        mask = torch.ones_like(a, dtype=torch.bool)
        one, other = (m.encoder(ids, mask)[0] for m, ids in ((old, a), (new, b)))
        assert torch.allclose(one, other, atol=1e-5)
        if headed:
            kept = torch.from_numpy(trimmed_ids(tokenizer, smaller))
            assert torch.allclose(old.logits(one)[..., kept], new.logits(other), atol=1e-5)


def trimmed_ids(whole, smaller):
    number = {piece: i for i, piece in enumerate(whole.pieces_of(range(whole.vocab_size)))}
    return np.array([number[piece] for piece in smaller.pieces_of(range(smaller.vocab_size))])
