"""Stages of a distillation: each goes on where the one before ended, and none is done twice."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from destila import records
from destila.errors import ConfigError, TrainingError
from destila.study import testing, training
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run, run

STAGES = """
[[distil.stages]]
name = "general"
data = "unlabelled"
train = { epochs = 1 }

[[distil.stages]]
name = "task"
terms = [{ use = "mse" }, { use = "hard" }]
data = "labelled"
"""
FAST = ("baseline=false", "train.epochs=2", "compare=false", "data.unlabelled=40")


@pytest.fixture(autouse=True)
def _no_subprocess(monkeypatch):
    """Peak memory is measured in a process of its own, which has its own tests."""
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)


@pytest.fixture
def started(monkeypatch) -> dict[str, torch.Tensor]:
    """The token table that each job started from, by the name of its folder."""
    tables: dict[str, torch.Tensor] = {}
    real = training.fit

    def fit(model, *args, **kwargs):
        tables[kwargs["state"].parent.name] = model.encoder.embeddings.word.weight.detach().clone()
        return real(model, *args, **kwargs)

    monkeypatch.setattr(training, "fit", fit)
    return tables


@pytest.mark.slow
def test_a_stage_starts_from_the_weights_of_the_one_before_and_is_not_done_twice(
    tiny, tmp_path, caplog, started
):
    caplog.set_level(logging.INFO)
    path = str(tiny("demo_intents", STAGES))
    run(Config(recipe=path, set=FAST))
    assert list(started) == [
        "teacher-teacher-s0",
        "student-distilled-s0-general",
        "student-distilled-s0",
    ]
    students = tmp_path / "runs" / "tiny" / "students"
    kept = load_file(students / "student-distilled-s0-general" / "best" / "model.safetensors")
    (name,) = [n for n in kept if n.endswith("word_embeddings.weight")]
    assert torch.equal(started["student-distilled-s0"], kept[name])
    assert not torch.equal(started["student-distilled-s0-general"], kept[name])

    found = {r.role: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}[
        "distilled"
    ]
    assert found.config["terms"] == [{"use": "mse"}, {"use": "hard"}]
    assert [s["name"] for s in found.config["distil"]["stages"]] == ["general", "task"]
    assert found.details["notes"]["features"] == 96
    notes = json.loads((students / "student-distilled-s0-general" / "trained.json").read_text())[
        "notes"
    ]
    assert notes["features"] == 40
    asked = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    assert asked == [40, 96]
    (told,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("estimate")]
    assert "student-distilled-s0-general" in told

    started.clear()
    run(Config(recipe=path, set=FAST))
    assert not started
    changed = (*FAST, "distil.stages.1.train={lr=1e-3}")
    run(Config(recipe=path, set=changed))
    assert list(started) == ["student-distilled-s0"]
    started.clear()
    run(Config(recipe=path, set=(*changed, "distil.stages.0.train={epochs=2}")))
    assert list(started) == ["student-distilled-s0-general", "student-distilled-s0"]


def test_one_stage_of_everything_is_the_distillation_without_stages(tiny):
    def key(*changes: str) -> str:
        steps = Run(Study(read(str(tiny()), changes)))
        return steps._prepared(steps.recipe.students[0], 0, True)[1]

    plain = key()
    assert key('distil.stages=[{name="all"}]') == plain
    assert key('distil.stages=[{name="one"}, {name="all"}]') not in (
        plain,
        key('distil.stages=[{name="a"}, {name="b", train={lr=1}}]'),
    )


def test_a_stage_that_teaches_no_answers_keeps_its_last_weights(tiny, monkeypatch):
    monkeypatch.setattr(
        "destila.losses.weighted.Mix.answers", property(lambda mix: mix.terms[0][1].name != "mse")
    )
    stages = 'distil.stages=[{name="states", terms=[{use="mse"}]}, {name="answers"}]'
    recipe = read(str(tiny()), (stages,))
    jobs = Run(Study(recipe))._distillation(recipe.students[0], 0).chain
    assert [j.options.select for j in jobs] == ["last", "score"]


def test_a_head_that_is_not_taught_may_answer_one_thing(tiny, monkeypatch):
    recipe = read(
        str(tiny()), ("teachers=[]", "train.epochs=6", "train.lr=1e-9", "train.warmup=0.0")
    )
    study = Study(recipe)
    made = training.Job(recipe.folder / "a", "finetuned", recipe.students[0], recipe.options(), 0)
    with pytest.raises(TrainingError, match="collapsed"):
        training.train(study, made)
    monkeypatch.setattr("destila.losses.weighted.Mix.answers", property(lambda _: False))
    assert training.train(study, replace(made, folder=recipe.folder / "b")).dev["accuracy"] < 0.6


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ('[{name="a", data="unlabelled"}]', "there are no such texts"),
        ('[{name="a"}, {name="a"}]', "two stages are called 'a'"),
        ('[{name="a b"}]', "key 'distil.stages.0.name' = 'a b'"),
        ('[{name="a", terms=[{use="kll"}]}]', "Did you mean 'kl'"),
    ],
)
def test_wrong_stages_are_refused_before_any_training(tiny, stages, says):
    with pytest.raises(ConfigError, match=says):
        Run(Study(read(str(tiny()), (f"distil.stages={stages}",)))).estimate()


def test_labels_alone_teach_nothing_about_unlabelled_texts(tiny):
    stages = 'distil.stages=[{name="a", data="unlabelled", terms=[{use="hard", class_weights="balanced"}]}]'
    with pytest.raises(ConfigError, match="none of its terms asks a teacher"):
        Run(Study(read(str(tiny()), (stages, "data.unlabelled=10")))).estimate()


@pytest.mark.slow
def test_hidden_states_first_and_answers_after_them(tiny, tmp_path, started):
    stages = '[{name="states", terms=[{use="hidden"}]}, {name="answers", terms=[{use="kl"}]}]'
    run(Config(recipe=str(tiny()), set=(*FAST[:3], f"distil.stages={stages}")))
    assert list(started)[1:] == ["student-distilled-s0-states", "student-distilled-s0"]
    students = tmp_path / "runs" / "tiny" / "students"
    lines = [
        json.loads(x)
        for x in (students / "student-distilled-s0-states" / "log.jsonl").read_text().splitlines()
    ]
    assert [line["best"] for line in lines if "best" in line] == [
        True,
        True,
    ]  # the last weights, whatever dev says
    assert "hidden" in lines[-1]
