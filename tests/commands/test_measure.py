from __future__ import annotations

import json

import pytest
import torch

from destila import records
from destila.commands import export, measure
from destila.errors import ConfigError, DataError
from destila.measuring import open_target, protocols, sample_texts
from destila.models import heads, presets, store
from destila.models.architecture import EncoderConfig
from destila.tasks.tag import TASK

QUICK = {"repeats": 2, "passes": 1, "warmup": 1, "threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bpe):
    """A tagger of one small layer with a tokenizer, saved as destila saves models."""
    config = EncoderConfig(
        kind="bert",
        vocab_size=bpe.vocab_size,
        positions=64,
        types=2,
        embedding=24,
        hidden=24,
        layers=1,
        heads=2,
        ffn=48,
        activation="gelu",
        dropout=0.0,
        attention_dropout=0.0,
        classifier_dropout=0.0,
        eps=1e-12,
        init_range=0.02,
        pad_id=bpe.pad_id,
    )
    path = tmp_path_factory.mktemp("model") / "tagger"
    store.save_model(
        heads.build_model(config, "tag", ("O", "B-PER", "I-PER"), 0),
        bpe,
        path,
        extra={"max_length": 32},
    )
    return path


def test_a_preset_is_measured_by_its_shape_alone(monkeypatch):
    small = presets.PRESETS["albeto-tiny"].with_values(vocab_size=1000)
    monkeypatch.setitem(presets.PRESETS, "albeto-tiny", small)
    found = measure.run(measure.Config(models=("albeto-tiny",), length=(16,), **QUICK))
    assert found["params"] == presets.count_parameters(small)
    assert found["size_bytes"] == 4 * found["params"]
    assert found["macs"]["linear_512"] < found["macs"]["total_512"]
    assert [x["protocol"] for x in found["latency"]] == ["random-16"]
    assert found["latency"][0]["conditions"]["threads"] == 1
    assert found["details"]["weights"] == "random"


def test_the_result_is_a_record_that_json_can_carry(folder):
    found = measure.run(measure.Config(models=(str(folder),), length=(), **QUICK))
    made = records.record_from_json(json.loads(json.dumps(found)))
    assert (made.role, made.task, made.main, made.scores) == ("measured", "tag", "entity_f1", {})
    assert made.conditions.cpu


def test_real_texts_are_timed_with_and_without_tokenisation(folder, tmp_path):
    (tmp_path / "texts.txt").write_text("Ana vive en Madrid.\n\nHola, Luis.\n", encoding="utf-8")
    found = measure.run(
        measure.Config(models=(str(folder),), texts=str(tmp_path / "texts.txt"), **QUICK)
    )
    assert [x["protocol"] for x in found["latency"]] == ["real", "real-model", "random-64"]
    assert [x["conditions"]["repeats"] for x in found["latency"]] == [2, 2, 2]
    assert found["latency"][0]["conditions"]["length"].endswith("tokens")
    assert found["dataset"] == str(tmp_path / "texts.txt")


def test_a_length_the_model_cannot_read_is_refused(folder):
    with pytest.raises(ConfigError, match=r"length = 100: .* reads at most 64 tokens"):
        measure.run(measure.Config(models=(str(folder),), length=(100,), **QUICK))


def test_a_preset_cannot_read_texts(tmp_path):
    (tmp_path / "texts.txt").write_text("Hola.\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no tokenizer"):
        measure.run(
            measure.Config(models=("albeto-tiny",), texts=str(tmp_path / "texts.txt"), **QUICK)
        )


def test_a_file_without_texts_names_its_first_fault(folder, tmp_path):
    (tmp_path / "texts.jsonl").write_text('\n{"texto": "Hola."}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"no text that can be read .*line 2.*no string"):
        measure.run(
            measure.Config(models=(str(folder),), texts=str(tmp_path / "texts.jsonl"), **QUICK)
        )


def test_several_models_are_compared_with_the_first(folder, tmp_path):
    (tmp_path / "texts.txt").write_text(
        "Ana vive en Madrid.\nHola, Luis.\nEl año pasado.\n", encoding="utf-8"
    )
    names = (str(folder), str(folder))
    options = {"texts": str(tmp_path / "texts.txt"), "length": (8, 40), "batch": 2}
    found = measure.run(measure.Config(models=names, **options, **QUICK))
    wanted = ["real", "real-model", "throughput", "fixed-8", "fixed-40"]
    assert [[x["protocol"] for x in model["latency"]] for model in found["models"]] == [
        wanted,
        wanted,
    ]
    assert [ratio["protocol"] for ratio in found["ratios"]] == wanted
    assert all(ratio["low"] <= ratio["speed_up"] <= ratio["high"] for ratio in found["ratios"])
    throughput = found["models"][0]["latency"][2]["conditions"]
    assert (throughput["batch"], throughput["repeats"]) == (2, 1)
    assert len(measure.show(found)["rows"]) == 2 * len(wanted)
    assert all(records.record_from_json(model).peak_memory_bytes > 0 for model in found["models"])


def test_windows_too_short_for_the_specials_are_refused(folder):
    model = open_target.open_target(str(folder), task="tag", labels=3, threads=1)
    with pytest.raises(ConfigError, match="length = 2"):
        protocols.fixed_length([model], sample_texts.texts_of(__file__, TASK), 2, 1)


def test_a_model_is_opened_several_times_to_know_its_load_time(folder):
    found = measure.run(measure.Config(models=(str(folder),), length=(), **QUICK))
    assert found["details"]["load_ms"] > 0
    assert found["details"]["energy"]


def test_a_gpu_that_is_not_there_is_said(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no GPU"):
        measure.run(measure.Config(models=(str(folder),), device="cuda", **QUICK))


def test_an_exported_folder_is_timed_beside_its_model(folder, tmp_path):
    export.run(export.Config(model=str(folder), out=str(tmp_path / "out")))
    (tmp_path / "texts.txt").write_text("Ana vive en Madrid.\nHola, Luis.\n", encoding="utf-8")
    names = (str(folder), str(tmp_path / "out"))
    found = measure.run(
        measure.Config(models=names, texts=str(tmp_path / "texts.txt"), length=(16,), **QUICK)
    )
    model, exported = found["models"]
    assert exported["params"] == model["params"]
    assert exported["size_bytes"] < model["size_bytes"]
    assert exported["latency"][0]["conditions"]["backend"] == "onnxruntime"
    assert exported["details"]["candidate"] == "int8-dynamic"
    assert 0 < exported["peak_memory_bytes"] < model["peak_memory_bytes"]
