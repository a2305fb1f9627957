"""The main job on a tiny study: what it leaves behind, what it does not do twice, and what its steps answer."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest

from destila import records
from destila.commands import choose, distil, evaluate, finetune, predict
from destila.study import testing
from destila.study.run import Config, run

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.fixture(autouse=True)
def _no_subprocess(monkeypatch):
    """Peak memory is measured in a process of its own, which costs seconds and has its own tests."""
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)


def asked(caplog) -> list[int]:
    """How many texts a teacher was asked about, each time a cache was filled."""
    found = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    caplog.clear()
    return found


def files(folder: Path) -> dict[str, int]:
    """Every file that training wrote and when."""
    found = (
        path
        for part in ("students", "teachers")
        for path in (folder / part).rglob("*")
        if path.is_file()
    )
    return {str(path): path.stat().st_mtime_ns for path in found}


@pytest.mark.slow
@pytest.mark.parametrize("data", ["demo_intents", "demo_tags"])
def test_a_study_is_run_once_and_grows_by_what_is_new(
    tiny, second, tmp_path, caplog, trained, data
):
    caplog.set_level(logging.INFO)
    arguments = Config(recipe=str(tiny(data)))
    study = tmp_path / "runs" / "tiny"

    first = run(arguments)
    found = records.read(study / "record.jsonl")
    assert Counter(r.role for r in found) == {
        "baseline": 1,
        "teacher": 1,
        "finetuned": 1,
        "distilled": 1,
    }
    assert trained == ["student-finetuned-s0", "teacher-teacher-s0", "student-distilled-s0"]
    assert asked(caplog) == [96]
    for record in found:
        assert record.main in record.scores
        assert record.split == "test"
        assert len(record.items) == 24
        assert record.conditions.versions["torch"]
    assert all("agreement" in r.scores for r in found if r.role in ("finetuned", "distilled"))
    assert (study / "report.md").read_text(encoding="utf-8").count("|") > 20
    assert {row["role"] for row in first["rows"]} == {
        "baseline",
        "teacher",
        "finetuned",
        "distilled",
    }

    before, trained[:] = files(study), []
    assert run(arguments) == first
    assert (trained, asked(caplog), files(study)) == ([], [], before)
    assert len(records.read(study / "record.jsonl")) == 4

    run(Config(recipe=str(tiny(data, second))))
    assert trained == ["second-finetuned-s0", "second-distilled-s0"]
    assert asked(caplog) == [
        0
    ]  # another tokenizer and another architecture, and every row was there
    assert {k: v for k, v in files(study).items() if k in before} == before


@pytest.mark.slow
def test_the_steps_are_verbs_of_their_own_and_share_their_results(tiny, tmp_path, trained):
    path = str(tiny())
    ranked = choose.run(Config(recipe=path))
    assert ranked["criterion"] == "score"
    assert [list(t) for t in ranked["teachers"]] == [["model", "dev", "dev_loss", "behind"]]
    assert (ranked["main"], ranked["teachers"][0]["behind"]) == ("accuracy", 0.0)

    assert {row["role"] for row in finetune.run(Config(recipe=path))["rows"]} >= {"finetuned"}
    assert {row["role"] for row in distil.run(Config(recipe=path))["rows"]} >= {
        "finetuned",
        "distilled",
        "teacher",
    }
    assert sorted(trained) == ["student-distilled-s0", "student-finetuned-s0", "teacher-teacher-s0"]

    best = tmp_path / "runs" / "tiny" / "students" / "student-distilled-s0" / "best"
    found = {r.role: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}[
        "distilled"
    ]
    again = evaluate.run(evaluate.Config(recipe=path, model=str(best)))
    assert again["scores"]["accuracy"] == pytest.approx(found.scores["accuracy"])
    assert (again["params"], again["size_bytes"]) == (found.params, found.size_bytes)
    assert (
        evaluate.run(evaluate.Config(recipe=path, model=str(best), split="dev"))["split"] == "dev"
    )

    (said,) = predict.run(predict.Config(model=str(best)), ["quiero saber mi saldo"])
    assert list(said) == ["id", "text", "label", "probabilities"]


@pytest.mark.slow
def test_several_seeds_are_trained_apart_and_a_changed_setting_is_trained_again(tiny, trained):
    changes = ("seeds=[0, 1]", "teachers=[]", "baseline=false", "train.epochs=1")
    path = str(tiny())
    rows = run(Config(recipe=path, set=changes))["rows"]
    assert trained == ["student-finetuned-s0", "student-finetuned-s1"]
    assert [(row["role"], row["seeds"]) for row in rows] == [("finetuned", 2)]
    trained.clear()
    run(Config(recipe=path, set=(*changes, "train.lr=1e-3")))
    assert trained == ["student-finetuned-s0", "student-finetuned-s1"]


@pytest.mark.slow
def test_unlabelled_text_is_labelled_by_the_teacher_and_learnt_from(tiny, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "raw.txt").write_text(
        "\n".join(f"quiero pagar la factura número {i}" for i in range(30)) + "\n\n"
    )
    changes = (
        f'distil.unlabelled="{tmp_path / "raw.txt"}"',
        "distil.unlabelled_limit=20",
        "train.epochs=1",
    )
    run(Config(recipe=str(tiny("demo_tags")), set=(*changes, "compare=false", "baseline=false")))
    assert asked(caplog) == [116]
    found = {r.role: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}[
        "distilled"
    ]
    assert found.details["notes"]["features"] >= 116
