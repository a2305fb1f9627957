"""Records outlive the runs that made them, and the report shows what the recipe says now."""

from __future__ import annotations

import json
import logging
import shutil

import pytest

from destila import records
from tests.fixtures.studies import records_of, run_recipe

pytestmark = pytest.mark.slow

ALONE = ("teachers=[]", "baseline=false", "train.epochs=1")


@pytest.fixture(autouse=True)
def measured(monkeypatch) -> list[str]:
    """The run folders whose peak memory would have been measured, in a process of its own."""
    names: list[str] = []

    def peak_of(command) -> int:
        names.append(command[-2].split("/")[-2])
        return 1

    monkeypatch.setattr("destila.measuring.memory.peak_of", peak_of)
    return names


def test_recorded_results_are_kept_without_runs(tiny, tmp_path, trained):
    """What `results` hold is not done again when the folder of runs is gone."""
    results = tmp_path / "results"
    path, changes = tiny(), ("train.epochs=1", f'results="{results}"')
    first = run_recipe(path, *changes)
    assert len(trained) == 3
    shutil.rmtree(tmp_path / "runs")
    trained.clear()
    assert run_recipe(path, *changes)["rows"] == first["rows"]
    assert trained == []
    assert len(records.read_records(results / "tiny.jsonl")) == 5


def test_a_recipe_changed_back_reports_its_own_numbers(tiny, tmp_path, trained):
    """The record that fits the recipe is written again, and counts."""
    path = tiny()
    one = run_recipe(path, *ALONE)["rows"][0]["score"]
    other = run_recipe(path, *ALONE, "train.lr=1e-6")["rows"][0]["score"]
    trained.clear()
    assert run_recipe(path, *ALONE)["rows"][0]["score"] == one != other
    assert trained == []
    file = tmp_path / "runs" / "tiny" / "record.jsonl"
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3


def test_training_alone_leaves_testing_for_later(tiny, tmp_path, trained, caplog):
    """The time it takes is logged first, and only while there is something to train."""
    caplog.set_level(logging.INFO)
    path = tiny()
    result = run_recipe(path, *ALONE, tested=False)
    assert "without --train-only" in result["lines"][0]

    def estimates() -> list[str]:
        messages = [r.getMessage() for r in caplog.records]
        return [message for message in messages if message.startswith("estimate")]

    (estimate,) = estimates()
    assert "student-finetuned-s0" in estimate
    assert trained == ["student-finetuned-s0"]
    assert not (tmp_path / "runs" / "tiny" / "record.jsonl").exists()
    caplog.clear()
    assert [row["role"] for row in run_recipe(path, *ALONE)["rows"]] == ["finetuned"]
    assert trained == ["student-finetuned-s0"]
    assert not estimates()


def test_a_foreign_teacher_with_its_own_labels_teaches(tiny, tmp_path, bpe, measured):
    """A model only transformers knows teaches by a map of labels.

    `predict` cannot load it, so its memory is unknown.
    """
    import transformers

    rows = "".join(f"el niño come {i},{'sí' if i % 2 else 'no'}\n" for i in range(60))
    (tmp_path / "data.csv").write_text("text,label\n" + rows, encoding="utf-8")
    folder = tmp_path / "electra"
    config = transformers.ElectraConfig(
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=bpe.vocab_size,
        intermediate_size=8,
        pad_token_id=bpe.pad_id,
        id2label={0: "nay", 1: "yes"},
    )
    transformers.ElectraForSequenceClassification(config).save_pretrained(folder)
    bpe.save(folder)

    teacher = f'teachers=[{{model="{folder}", finetune=false, label_map={{nay="no", yes="sí"}}}}]'
    data = f'data={{use="table", train="{tmp_path / "data.csv"}"}}'
    run_recipe(tiny(), teacher, data, "compare=false", "baseline=false", "train.epochs=1")
    roles = {r.role: r for r in records_of(tmp_path).values()}
    assert set(roles) == {"teacher", "distilled"}
    assert measured == ["student-distilled-s0"]
    assert roles["distilled"].details["teacher"] == "electra"
    environment = json.loads((tmp_path / "runs" / "tiny" / "environment.json").read_text())
    assert environment["versions"]["torch"]
