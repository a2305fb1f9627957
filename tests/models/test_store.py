from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from destila import files
from destila.errors import ModelError
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.heads import build_model


@pytest.fixture
def models(small_config):
    return [build_model(small_config("albert"), "tag", ("O", "B-X"), seed=s) for s in (0, 1)]


def test_a_shared_block_is_stored_once_under_published_names(models, tokenizer, tmp_path: Path):
    store.save_model(models[0], tokenizer, tmp_path / "m")
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    assert len([n for n in tensors if n.startswith("albert.encoder.albert_layer_groups")]) == 16
    assert sum(t.numel() for t in tensors.values()) == sum(
        p.numel() for p in models[0].parameters()
    )


def test_the_folder_says_what_it_is(models, tokenizer, tmp_path: Path):
    store.save_model(
        models[0], tokenizer, tmp_path / "m", extra={"max_length": 128, "labels": "ours win"}
    )
    info = read_folder(tmp_path / "m")
    assert (info.task, info.labels, info.architecture) == (
        "tag",
        ("O", "B-X"),
        "AlbertForTokenClassification",
    )
    assert (info.extra["max_length"], info.extra["labels"], info.extra["task"]) == (
        128,
        ["O", "B-X"],
        "tag",
    )


def test_whoever_may_read_one_file_may_read_all(models, tokenizer, tmp_path: Path):
    store.save_model(models[0], tokenizer, tmp_path / "m")
    assert len({path.stat().st_mode for path in (tmp_path / "m").iterdir()}) == 1


def test_a_new_save_replaces_the_older_folder_whole(models, tokenizer, tmp_path: Path):
    store.save_model(models[0], tokenizer, tmp_path / "m")
    (tmp_path / "m" / "left_over.txt").write_text("old")
    store.save_model(models[1], tokenizer, tmp_path / "m")
    assert torch.equal(
        hf.load(tmp_path / "m").model.head.classifier.weight, models[1].head.classifier.weight
    )
    assert not (tmp_path / "m" / "left_over.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_replacing_also_works_where_names_cannot_be_exchanged(
    models, tokenizer, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    store.save_model(models[0], tokenizer, tmp_path / "m")
    store.save_model(models[1], tokenizer, tmp_path / "m")
    assert torch.equal(
        hf.load(tmp_path / "m").model.head.classifier.weight, models[1].head.classifier.weight
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_disk_that_refuses_leaves_the_older_folder_as_it_was(models, tokenizer, tmp_path: Path):
    store.save_model(models[0], tokenizer, tmp_path / "m")
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (4096, limits[1])
    )  # every longer file now fails as on a full disk
    try:
        with pytest.raises(ModelError, match="cannot save the model to"):
            store.save_model(models[1], tokenizer, tmp_path / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_file_in_the_way_is_refused(models, tokenizer, tmp_path: Path):
    (tmp_path / "m").write_text("a file")
    with pytest.raises(ModelError, match="is a file"):
        store.save_model(models[0], tokenizer, tmp_path / "m")
    (tmp_path / "n").write_text("a file")
    with pytest.raises(ModelError, match="cannot save"):
        store.save_model(models[0], tokenizer, tmp_path / "n" / "deep")


def test_a_relative_folder_is_saved_where_it_says(models, tokenizer, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in models:
        store.save_model(model, tokenizer, "runs/best")
    assert (tmp_path / "runs" / "best" / "model.safetensors").is_file()


def test_the_tokenizer_is_declared_as_a_fast_one(models, tokenizer, tmp_path: Path, small_config):
    store.save_model(models[0], tokenizer, tmp_path / "a")
    declared = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text())
    assert declared["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert declared["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    store.save_model(
        build_model(small_config("distilbert"), "tag", ("O",), seed=0), tokenizer, tmp_path / "d"
    )
    declared = json.loads((tmp_path / "d" / "tokenizer_config.json").read_text())
    assert declared["model_input_names"] == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o700), (0o027, 0o750)])
def test_a_private_folder_stays_private(tmp_path: Path, mask, mode):
    before = os.umask(mask)
    try:
        with store.new_folder(tmp_path / "m", what="model") as partial:
            (partial / "config.json").write_text("{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode
    assert not stat.S_IMODE((tmp_path / "m" / "config.json").stat().st_mode) & mask
