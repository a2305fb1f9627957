"""Records outlive the runs that made them, and the report shows what the recipe says now."""

from __future__ import annotations

import json
import logging
import shutil

import pytest

from destila import records
from destila.errors import ConfigError
from destila.study import testing
from destila.study.run import Config, run


@pytest.fixture(autouse=True)
def _no_subprocess(monkeypatch):
    """Peak memory is measured in a process of its own, which has its own tests."""
    monkeypatch.setattr(testing.memory, "peak_of", lambda command: 1)


@pytest.mark.slow
def test_what_results_hold_is_not_done_again_without_runs(tiny, tmp_path, trained):
    results = tmp_path / "results"
    arguments = Config(recipe=str(tiny()), set=("train.epochs=1", f'results="{results}"'))
    first = run(arguments)
    assert len(trained) == 3
    shutil.rmtree(tmp_path / "runs")
    trained.clear()
    assert run(arguments)["rows"] == first["rows"]
    assert trained == []
    assert len(records.read(results / "tiny.jsonl")) == 4


@pytest.mark.slow
def test_a_recipe_that_is_changed_back_reports_its_own_numbers(tiny, tmp_path, trained):
    path = str(tiny())
    fixed = ("teachers=[]", "baseline=false", "train.epochs=1")
    one = run(Config(recipe=path, set=fixed))["rows"][0]["score"]
    other = run(Config(recipe=path, set=(*fixed, "train.lr=1e-6")))["rows"][0]["score"]
    trained.clear()
    assert run(Config(recipe=path, set=fixed))["rows"][0]["score"] == one != other
    assert trained == []
    assert (
        len((tmp_path / "runs" / "tiny" / "record.jsonl").read_text(encoding="utf-8").splitlines())
        == 3
    )


@pytest.mark.slow
def test_training_alone_leaves_testing_for_later_and_time_is_told_first(
    tiny, tmp_path, trained, caplog
):
    caplog.set_level(logging.INFO)
    arguments = {"recipe": str(tiny()), "set": ("teachers=[]", "baseline=false", "train.epochs=1")}
    assert "without --train-only" in run(Config(**arguments, train_only=True))["lines"][0]
    (told,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("estimate")]
    assert "student-finetuned-s0" in told
    assert trained == ["student-finetuned-s0"]
    assert not (tmp_path / "runs" / "tiny" / "record.jsonl").exists()
    caplog.clear()
    assert [row["role"] for row in run(Config(**arguments))["rows"]] == ["finetuned"]
    assert trained == ["student-finetuned-s0"]
    assert not [r for r in caplog.records if r.getMessage().startswith("estimate")]


def test_a_wrong_loss_term_shows_before_any_training(tiny, trained):
    with pytest.raises(ConfigError, match="Did you mean 'kl'"):
        run(Config(recipe=str(tiny()), set=('distil.terms=[{use="kll"}]',)))
    assert trained == []


def test_unlabelled_lines_for_pairs_are_refused_before_any_training(tiny, tmp_path, trained):
    rows = "".join(f"el niño {i}\tla niña\t{'no' if i % 2 else 'sí'}\n" for i in range(60))
    (tmp_path / "pairs.tsv").write_text("text\tpair\tlabel\n" + rows, encoding="utf-8")
    data = f'data={{use="table", train="{tmp_path / "pairs.tsv"}"}}'
    with pytest.raises(ConfigError, match="the data are pairs"):
        run(Config(recipe=str(tiny()), set=(data, 'distil.unlabelled="raw.txt"')))
    assert trained == []


@pytest.mark.slow
def test_a_teacher_only_transformers_knows_with_labels_of_its_own_teaches(
    tiny, tmp_path, bpe, monkeypatch
):
    import transformers

    (tmp_path / "data.csv").write_text(
        "text,label\n"
        + "".join(f"el niño come {i},{'sí' if i % 2 else 'no'}\n" for i in range(60)),
        encoding="utf-8",
    )
    folder = tmp_path / "electra"
    shape = {
        "embedding_size": 8,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = transformers.ElectraConfig(
        **shape,
        vocab_size=bpe.vocab_size,
        intermediate_size=8,
        pad_token_id=bpe.pad_id,
        id2label={0: "nay", 1: "yes"},
    )
    transformers.ElectraForSequenceClassification(config).save_pretrained(folder)
    bpe.save(folder)
    measured: list[str] = []
    monkeypatch.setattr(
        testing.memory, "peak_of", lambda command: measured.append(command[-2]) or 1
    )
    teacher = f'teachers=[{{model="{folder}", finetune=false, label_map={{nay="no", yes="sí"}}}}]'
    data = f'data={{use="table", train="{tmp_path / "data.csv"}"}}'
    run(
        Config(
            recipe=str(tiny()),
            set=(teacher, data, "compare=false", "baseline=false", "train.epochs=1"),
        )
    )
    found = {r.role: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}
    assert set(found) == {"teacher", "distilled"}
    assert [path.split("/")[-2] for path in measured] == [
        "student-distilled-s0"
    ]  # `predict` cannot load the teacher
    assert found["distilled"].details["teacher"] == "electra"
    assert json.loads((tmp_path / "runs" / "tiny" / "environment.json").read_text())["versions"][
        "torch"
    ]
