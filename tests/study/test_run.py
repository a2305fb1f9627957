"""The main job on a tiny study: what it leaves behind, and what it does not do twice."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest

from destila import records
from destila.commands import choose, distil, evaluate, finetune, predict
from destila.commands.run import Config
from destila.study.export_study import ExportStudy
from tests.fixtures.studies import records_of, run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]


def calls(caplog) -> list[int]:
    """How many texts a teacher was asked about, each time a cache was filled."""
    counts = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    caplog.clear()
    return counts


def files(folder: Path) -> dict[str, int]:
    """Every file that training wrote and when."""
    parts = [folder / "students", folder / "teachers"]
    paths = [path for part in parts for path in part.rglob("*") if path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize("data", ["demo_intents", "demo_tags"])
def test_a_study_is_run_once_and_grows(tiny, second, tmp_path, caplog, trained, data):
    """A second run does nothing.

    A new student is all that is trained, and every teacher's row is there.
    """
    caplog.set_level(logging.INFO)
    path = tiny(data)
    study = tmp_path / "runs" / "tiny"

    first = run_recipe(path)
    kept = records.read_records(study / "record.jsonl")
    roles = {
        "baseline": 2 if data == "demo_intents" else 1,
        "teacher": 1,
        "finetuned": 1,
        "distilled": 1,
    }
    assert Counter(r.role for r in kept) == roles
    assert trained == ["teacher-teacher-s0", "student-finetuned-s0", "student-distilled-s0"]
    assert calls(caplog) == [96]
    for record in kept:
        assert record.main in record.scores
        assert record.split == "test"
        assert len(record.items) == 24
        assert record.conditions.versions["torch"]
    students = [r for r in kept if r.role in ("finetuned", "distilled")]
    assert all("agreement" in r.scores for r in students)
    assert (study / "report.md").read_text(encoding="utf-8").count("|") > 20
    assert {row["role"] for row in first["rows"]} == set(roles)

    before, trained[:] = files(study), []
    assert run_recipe(path) == first
    assert (trained, calls(caplog), files(study)) == ([], [], before)
    assert len(records.read_records(study / "record.jsonl")) == len(kept)

    run_recipe(tiny(data, second))
    assert trained == ["second-finetuned-s0", "second-distilled-s0"]
    assert calls(caplog) == [0]  # another tokenizer and architecture, and every row was there
    assert {k: v for k, v in files(study).items() if k in before} == before


def test_the_steps_are_commands_that_share_results(tiny, tmp_path, trained):
    """`choose`, `finetune`, `distil` and `evaluate` train nothing twice."""
    path = str(tiny())
    ranked = choose.run(Config(recipe=path))
    assert ranked["criterion"] == "score"
    assert [list(t) for t in ranked["teachers"]] == [["model", "dev", "dev_loss", "behind"]]
    assert (ranked["main"], ranked["teachers"][0]["behind"]) == ("accuracy", 0.0)

    tuned = {row["role"] for row in finetune.run(Config(recipe=path))["rows"]}
    assert tuned == {"finetuned"}
    taught = {row["role"] for row in distil.run(Config(recipe=path))["rows"]}
    assert taught == {"finetuned", "distilled", "teacher"}
    names = ["student-distilled-s0", "student-finetuned-s0", "teacher-teacher-s0"]
    assert sorted(trained) == names

    best = tmp_path / "runs" / "tiny" / "students" / "student-distilled-s0" / "best"
    record = {r.role: r for r in records_of(tmp_path).values()}["distilled"]
    again = evaluate.run(evaluate.Config(recipe=path, model=str(best)))
    assert again["scores"]["accuracy"] == pytest.approx(record.scores["accuracy"])
    assert (again["params"], again["size_bytes"]) == (record.params, record.size_bytes)
    dev = evaluate.run(evaluate.Config(recipe=path, model=str(best), split="dev"))
    assert dev["split"] == "dev"

    (answer,) = predict.run(predict.Config(model=str(best)), lines=["quiero saber mi saldo"])
    assert list(answer) == ["id", "text", "label", "probabilities"]


def test_seeds_are_trained_apart_and_changes_again(tiny, trained):
    """Every seed is a training of its own, and a changed setting is trained again."""
    changes = ("seeds=[0, 1]", "teachers=[]", "baseline=false", "train.epochs=1")
    path = tiny()
    rows = run_recipe(path, *changes)["rows"]
    assert trained == ["student-finetuned-s0", "student-finetuned-s1"]
    assert [(row["role"], row["seeds"]) for row in rows] == [("finetuned", 2)]
    trained.clear()
    run_recipe(path, *changes, "train.lr=1e-3")
    assert trained == ["student-finetuned-s0", "student-finetuned-s1"]


def test_only_the_main_job_saves_the_recipe(tiny, tmp_path):
    """Evaluating and exporting with other settings leave the saved recipe as the study ran."""
    path = str(tiny())
    run_recipe(path, "teachers=[]", "baseline=false", "train.epochs=1")
    folder = tmp_path / "runs" / "tiny"
    saved = (folder / "recipe.toml").read_bytes()
    assert b"baseline = false" in saved
    best = folder / "students" / "student-finetuned-s0" / "best"
    evaluate.run(evaluate.Config(recipe=path, model=str(best), set=("train.lr=7e-7",)))
    ExportStudy(path, ("train.lr=7e-7",))
    assert (folder / "recipe.toml").read_bytes() == saved
