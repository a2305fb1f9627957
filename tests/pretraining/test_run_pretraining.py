"""`destila pretrain` from raw text to a model folder, a record and a report; with a teacher, distillation without a task."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from destila import config, records
from destila.commands import pretrain
from destila.errors import ConfigError, DataError, ModelError
from destila.files import locked
from destila.models import hf
from destila.pretraining import pretrain_recipe

SHAPE = {"kind": "albert", "layers": 2, "hidden": 24, "heads": 2, "embedding": 16, "ffn": 48}
SAID = [
    "niño",
    "río",
    "tren",
    "casa",
    "madre",
    "banco",
    "perro",
    "libro",
    "año",
    "calle",
    "canción",
    "señor",
]
DONE = ["ve", "sigue", "pinta", "busca", "deja", "oye", "espera", "cuida"]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def text(tmp_path) -> str:
    """Forty documents of twelve sentences that keep to a simple order."""
    lines = []
    for d in range(40):
        for s in range(12):
            a, b, c = SAID[(d + s) % 12], DONE[(d * s) % 8], SAID[(3 * d + 5 * s) % 12]
            lines.append(
                f"El {a} que vive en la ciudad {b} al {c} y luego el {c} {b} a la otra {a}."
            )
        lines.append("")
    path = tmp_path / "texto.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def recipe(path: Path, text: str, **changes) -> str:
    """A recipe's file, small enough for seconds."""
    data = {
        "name": "small",
        "results": "results",
        "tokenizer": {"vocab_size": 120, "max_length": 64},
        "corpora": [{"files": [text], "filters": {"min_function_words": 0.0}}],
        "model": {"shape": SHAPE},
        "feed": {"stretch": 64, "block": 512, "heldout": 0.2},
        "train": {
            "stages": [
                {"steps": 6, "length": 24, "rows": 4},
                {"steps": 6, "length": 32, "rows": 4},
            ],
            "evaluate_every": 4,
        },
        "evaluation": {"tokens": 500, "length": 32, "probe": {"pos": "", "ner": ""}},
    }
    for key, value in changes.items():
        data[key] = (
            {**data[key], **value}
            if isinstance(value, dict) and isinstance(data.get(key), dict)
            else value
        )
    made = config.build_config(pretrain_recipe.PretrainRecipe, data)
    path.write_text(config.to_toml(made, help=False), encoding="utf-8")
    return str(path)


def run(path: str, **arguments):
    return pretrain.run(pretrain.Config(recipe=path, **arguments))


def weights(folder: str) -> dict[str, torch.Tensor]:
    return dict(hf.load_masked(folder, order=True)[0].named_parameters())


def test_raw_text_becomes_a_model_a_record_and_a_report(tmp_path, text):
    result = run(recipe(tmp_path / "r.toml", text))
    [row] = result["rows"]
    assert row["run"] == "small"
    assert 0 <= row["mlm_accuracy"] <= 1
    assert row["bits_per_character"] > 0
    [record] = records.read_records(tmp_path / "results" / "small.jsonl")
    assert (record.role, record.task, record.split, record.model) == (
        "pretrained",
        "mlm",
        "heldout",
        "shape",
    )
    assert record.details["tokens"] > 0
    model, _, report = hf.load_masked("runs/small/model", order=True)
    assert report.missing == ()
    assert model.config.layers == 2
    lines = [json.loads(line) for line in Path("runs/small/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "evaluation" in line] == [4, 8, 12]
    assert Path("runs/small/report.html").is_file()


def test_shared_model_has_half_the_bytes(tmp_path, text):
    """A model to share has half the bytes and the same weights."""
    path = recipe(tmp_path / "r.toml", text)
    run(path, share="shared")
    whole, half = (Path(folder) / "model.safetensors" for folder in ("runs/small/model", "shared"))
    assert half.stat().st_size < 0.7 * whole.stat().st_size  # the list of names is as long in both
    one, other = weights("runs/small/model"), weights("shared")
    for name, values in one.items():
        assert torch.equal(values.half().float(), other[name])
    with pytest.raises(ConfigError, match="--share writes one model"):
        run(
            recipe(tmp_path / "two.toml", text, name="two", runs=[{"name": "a"}, {"name": "b"}]),
            share="shared",
        )


def test_finished_run_is_neither_repeated_nor_overwritten(tmp_path, text):
    """A finished run is not done again and another one is not overwritten."""
    path = recipe(tmp_path / "r.toml", text)
    run(path)
    made = Path("runs/small/model/model.safetensors").stat().st_mtime_ns
    run(path)
    assert Path("runs/small/model/model.safetensors").stat().st_mtime_ns == made
    assert len(records.read_records("results/small.jsonl")) == 1
    with pytest.raises(ConfigError, match="holds a run of other text or with other options"):
        run(path, set=("train.lr=0.01",))


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path, text):
    path = recipe(tmp_path / "r.toml", text)
    assert not run(path, minutes=1e-9)["rows"]
    with (
        locked(Path("runs/small/lock")),
        pytest.raises(ConfigError, match="another process trains in runs/small: wait for its end"),
    ):
        run(path)
    assert len(run(path)["rows"]) == 1


def test_a_record_of_another_machine_does_not_end_a_run(tmp_path, text):
    path = recipe(tmp_path / "r.toml", text)
    run(path)
    shutil.rmtree("runs")  # what a clone with its results has
    assert not run(path, minutes=1e-9)["rows"]
    assert not run(path, minutes=1e-9)["rows"]
    assert len(run(path)["rows"]) == 1


def test_several_calls_end_with_the_weights_of_one_run(tmp_path, text):
    """A run in several calls ends with the weights of a run in one."""
    whole = recipe(tmp_path / "whole.toml", text, name="whole")
    run(whole)
    parts = recipe(tmp_path / "parts.toml", text, name="parts")
    sittings = 0
    while not run(parts, minutes=1e-9)["rows"]:
        sittings += 1
    assert sittings > 3
    one, other = weights("runs/whole/model"), weights("runs/parts/model")
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [
        json.loads(line)["step"] for line in Path("runs/parts/log.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)


def test_several_runs_are_compared(tmp_path, text):
    runs = [
        {"name": "plain"},
        {"name": "sines", "set": ["model.positions=sinusoids"]},
        {"name": "fast", "set": ["train.lr=0.01"]},
    ]
    result = run(recipe(tmp_path / "r.toml", text, runs=runs))
    assert [row["run"] for row in result["rows"]] == ["plain", "sines", "fast"]
    assert len({record.key for record in records.read_records("results/small.jsonl")}) == 3
    start = [
        weights(f"runs/small/{name}/model")["encoder.embeddings.position.weight"]
        for name in ("plain", "sines")
    ]
    assert start[1].std() > 0
    assert not torch.equal(*start)


def test_a_student_is_distilled_without_a_task(tmp_path, text):
    run(recipe(tmp_path / "t.toml", text, name="teacher"))
    terms = [
        {"use": "kl", "weight": 5.0, "temperature": 2.0},
        {"use": "hard", "weight": 2.0},
        {"use": "cosine"},
    ]
    changes = {
        "tokenizer": "runs/teacher/model",
        "teacher": {"model": "runs/teacher/model"},
        "model": {"source": "runs/teacher/model", "shape": None, "layers": 1, "order": False},
        "feed": {"form": "lines", "masking": {"smoothing": 0.7, "words": "piece", "ngram": 1}},
        "terms": terms,
    }
    for tokens in ("all", "chosen"):
        changes["teacher"]["tokens"] = tokens
        result = run(recipe(tmp_path / "s.toml", text, name=f"student-{tokens}", **changes))
        assert result["rows"][0]["bits_per_character"] > 0
    [record] = records.read_records("results/student-all.jsonl")
    assert record.role == "distilled"
    parts = json.loads(Path("runs/student-all/log.jsonl").read_text().splitlines()[2])["parts"]
    assert set(parts) == {"kl", "hard", "cosine"}
    one, other = (
        hf.load_masked(f"runs/student-{t}/model")[0].encoder.blocks[0].up.weight
        for t in ("all", "chosen")
    )
    assert not torch.equal(one, other)


def test_a_relation_teacher_may_be_wider(tmp_path, text):
    run(recipe(tmp_path / "t.toml", text, name="teacher"))
    narrow = {"shape": {**SHAPE, "hidden": 16, "ffn": 32, "heads": 4}, "order": False}
    changes = {
        "tokenizer": "runs/teacher/model",
        "teacher": {"model": "runs/teacher/model"},
        "model": narrow,
    }
    changes["feed"] = {"form": "lines"}
    run(
        recipe(
            tmp_path / "s.toml",
            text,
            name="narrow",
            terms=[{"use": "relation"}, {"use": "hard"}],
            **changes,
        )
    )
    assert hf.load_masked("runs/narrow/model")[0].config.hidden == 16


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"terms": [{"use": "kl"}]}, r"give a \[teacher\] table"),
        ({"train": {"stages": [{"length": 600}]}}, "rows of 600 tokens, the model positions for"),
        ({"train": {"stages": [{"layers": 3}]}}, "a stage runs 3 layers, the model has 2"),
        (
            {"evaluation": {"length": 600}},
            "evaluation.length = 600, but the model has positions for 512",
        ),
        ({"feed": {"heldout": 0.0}}, "nothing of .* is held out"),
        ({"corpora": [{"folder": "nowhere"}]}, "none has any: name its folder"),
    ],
)
def test_recipes_that_do_not_fit_say_so(tmp_path, text, changes, said):
    path = recipe(tmp_path / "r.toml", text, **changes)
    with pytest.raises(Exception, match=said) as caught:
        run(path)
    assert type(caught.value).__module__ == "destila.errors"
    assert not Path("runs/small/model").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feed": {"form": "lines"}}, r"set model\.order = false"),
        ({"model": {"order": False}}, "drop the one or the other"),
        ({"runs": [{"name": "a"}, {"name": "a"}]}, "a name twice"),
        (
            {"evaluation": {"length": 8}},
            "evaluation.length = 8, but rows of pairs have at least 16 tokens",
        ),
        (
            {"train": {"stages": [{}, {"length": 8}]}},
            r"train\.stages\.1\.length = 8, but rows of pairs",
        ),
        ({"terms": [{"use": "relation"}]}, "packs several pairs into one: set feed.form = 'lines'"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(tmp_path, text, changes, said):
    with pytest.raises(ConfigError, match=said):
        recipe(tmp_path / "r.toml", text, **changes)


def test_a_stage_without_a_layer_that_is_compared_is_refused(tmp_path, text):
    run(recipe(tmp_path / "t.toml", text, name="teacher"))
    changes = {"tokenizer": "runs/teacher/model", "teacher": {"model": "runs/teacher/model"}}
    changes["train"] = {"stages": [{"steps": 2, "length": 32, "rows": 4, "layers": 1}]}
    terms = [{"use": "kl"}, {"use": "cosine"}, {"use": "order"}]
    with pytest.raises(
        ConfigError,
        match="a stage runs 1 layers, and a term of the loss compares the student's layer 2",
    ):
        run(recipe(tmp_path / "s.toml", text, name="student", terms=terms, **changes))


def test_held_out_text_too_short_fails_before_any_step(tmp_path):
    """Held out text without anything to predict is said before any step."""
    path = tmp_path / "corto.txt"
    path.write_text("".join(f"El niño {word} al tren.\n\n" for word in DONE * 20), encoding="utf-8")
    filters = {"min_words": 0, "min_function_words": 0.0}
    changes = {"feed": {"form": "lines"}, "model": {"order": False}, "terms": [{"use": "hard"}]}
    corpora = [{"files": [str(path)], "exact": False, "near": {"use": False}, "filters": filters}]
    with pytest.raises(DataError, match="too short to score a model on: raise heldout"):
        run(recipe(tmp_path / "r.toml", str(path), corpora=corpora, **changes))
    assert not Path("runs/small/log.jsonl").exists()


def test_text_that_has_changed_is_another_corpus(tmp_path, text):
    run(recipe(tmp_path / "t.toml", text, name="first"))
    changes = {
        "tokenizer": "runs/first/model",
        "train": {"stages": [{"steps": 2, "length": 32, "rows": 4}]},
    }
    counts = []
    for name in ("before", "after"):
        run(recipe(tmp_path / "r.toml", text, name=name, **changes))
        counts.append(
            records.read_records(f"results/{name}.jsonl")[0].details["corpora"][0]["documents"]
        )
        with Path(text).open("a", encoding="utf-8") as file:
            file.write("\nEl niño que vive en la ciudad ve al tren.\n")
    assert counts[1] == counts[0] + 1


def test_a_tokenizer_is_trained_on_the_text_of_json_lines(tmp_path, text):
    documents = Path(text).read_text(encoding="utf-8").split("\n\n")
    path = tmp_path / "texto.jsonl"
    path.write_text(
        "".join(json.dumps({"cuerpo": d, "clave": "xyz"}) + "\n" for d in documents),
        encoding="utf-8",
    )
    corpora = [{"files": [str(path)], "column": "cuerpo", "filters": {"min_function_words": 0.0}}]
    run(recipe(tmp_path / "r.toml", text, corpora=corpora))
    run(recipe(tmp_path / "plain.toml", text, name="plain"))
    one, other = (
        Path(f"runs/{name}/model/tokenizer.json").read_bytes() for name in ("small", "plain")
    )
    assert one == other


def test_a_teacher_with_another_tokenizer_is_refused(tmp_path, text):
    run(recipe(tmp_path / "t.toml", text, name="teacher"))
    other = {
        "teacher": {"model": "runs/teacher/model"},
        "tokenizer": {"vocab_size": 100},
        "terms": [{"use": "kl"}],
    }
    with pytest.raises(ConfigError, match="another tokenizer"):
        run(recipe(tmp_path / "s.toml", text, name="student", **other))
    with pytest.raises(ConfigError, match="no term compares with it"):
        run(recipe(tmp_path / "u.toml", text, name="unheard", teacher=other["teacher"]))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_make_the_model_of_one(tmp_path, text, parallel):
    exact = ("train.precision=fp32", "train.eps=1e-4", f"train.parallel={parallel}")
    run(recipe(tmp_path / "one.toml", text, name="one"), set=exact)
    both = recipe(tmp_path / "two.toml", text, name="two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    sets = [part for key in exact for part in ("--set", key)]
    command = [sys.executable, *launcher, "-m", "destila", "pretrain", both, *sets]
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = weights("runs/one/model"), weights("runs/two/model")
    assert max(float((one[name] - two[name]).abs().max().detach()) for name in one) < 1e-4
    assert [r.run for r in records.read_records("results/two.jsonl")] == ["two"]


def test_a_teacher_without_a_head_teaches_by_its_states(tmp_path, text):
    """A headless teacher serves terms of states alone, and its student is saved without a head."""
    shape = {**SHAPE, "kind": "bert", "embedding": 24}
    run(recipe(tmp_path / "t.toml", text, name="teacher", model={"shape": shape}))
    tensors = load_file("runs/teacher/model/model.safetensors")
    body = {name: value for name, value in tensors.items() if not name.startswith("cls.")}
    save_file(body, "runs/teacher/model/model.safetensors", metadata={"format": "pt"})
    changes = {
        "tokenizer": "runs/teacher/model",
        "teacher": {"model": "runs/teacher/model", "layers": [0]},
        "model": {
            "source": "runs/teacher/model",
            "shape": None,
            "layers": [1],
            "embedding": 8,
            "order": False,
        },
        "feed": {"form": "lines", "masking": {"rate": 0.05, "mask": 0.0, "random": 0.0}},
        "terms": [{"use": "hidden", "layers": [[0, 0], [1, 1]]}],
    }
    run(recipe(tmp_path / "s.toml", text, name="student", **changes))
    with pytest.raises(ModelError, match="has no masked-language-model head"):
        hf.load_masked("runs/student/model")
    student = hf.load_masked("runs/student/model", head_required=False)[0]
    assert (student.config.kind, student.config.embedding) == ("albert", 8)
    assert not student.config.own_blocks
    with pytest.raises(ModelError, match="has no masked-language-model head"):
        run(
            recipe(tmp_path / "u.toml", text, name="other", **{**changes, "terms": [{"use": "kl"}]})
        )


def test_a_table_without_weights_is_not_factorised(tmp_path, text):
    with pytest.raises(ConfigError, match=r"model\.embedding factorises"):
        run(recipe(tmp_path / "r.toml", text, model={"embedding": 8}))
