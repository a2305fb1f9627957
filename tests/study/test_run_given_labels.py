"""Studies whose teacher is a file of labels."""

from __future__ import annotations

import json

import pytest

from destila import config
from destila.errors import ConfigError, DataError
from destila.records import read_records
from destila.study.intake.distil_data import recipe_of_file
from destila.study.intake.file_choices import FileChoices
from destila.study.planning.recipe import Recipe
from tests.fixtures.studies import plans_of, run_recipe, study_of


@pytest.fixture
def labelled(tiny, tmp_path):
    """The tiny recipe with a file of labels as its teacher; every tenth label is wrong."""
    recipe = tiny()

    def write(*, splits=("train", "dev", "test"), more="") -> tuple[str, ...]:
        study = study_of(recipe)
        examples = [e for split in splits for e in study.dataset.splits[split]]
        lines = []
        for i, example in enumerate(examples):
            label = example.target if i % 10 else study.labels[i % len(study.labels)]
            lines.append(json.dumps({"text": example.text, "label": label}) + "\n")
        (tmp_path / "llm.jsonl").write_text("".join(lines), encoding="utf-8")
        table = f'{{labels = "{tmp_path}/llm.jsonl"{more}}}'
        return str(recipe), f"teachers=[{table}]", "train.epochs=1", "compare=false"

    return write


def test_a_file_of_labels_teaches_and_is_a_row_of_the_report(labelled, fast_testing):
    """Its score is its agreement with gold; students agree with it, and it is not timed."""
    arguments = labelled()
    run_recipe(*arguments)
    records = read_records(study_of(*arguments).records_path)
    known = {record.role: record for record in records}
    teacher, student = known["teacher"], known["distilled"]
    assert teacher.model == "llm"
    assert 0.85 < teacher.scores["accuracy"] < 1
    assert (teacher.size_bytes, teacher.latency) == (0, ())
    assert 0 < student.scores["agreement"] <= 1
    assert student.details["teacher"] == "llm"


def test_labels_of_the_training_texts_alone_teach_too(labelled, fast_testing):
    """Then nothing is known of the file on test texts, and it is no row."""
    arguments = labelled(splits=("train",))
    run_recipe(*arguments)
    records = read_records(study_of(*arguments).records_path)
    assert {r.role for r in records} >= {"distilled", "baseline"}
    assert not [r for r in records if r.role == "teacher" or "agreement" in r.scores]


def test_what_a_file_cannot_teach_is_said_before_any_training(labelled, tmp_path, trained):
    recipe, *changes = labelled()
    for change, says in (
        ('distil.augment={kind="swap"}', "is a file of labels, which has none of them"),
        ('distil.augment={kind="fill", model="x"}', "is a file of labels, which has none of them"),
        ('distil.terms=[{use="hidden"}]', "is a file of labels, which has no inner states"),
    ):
        with pytest.raises(ConfigError, match=says):
            run_recipe(recipe, *changes, change)
    (tmp_path / "more.txt").write_text("Un texto que nadie ha etiquetado.\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no labels for 1 of 1 texts"):
        run_recipe(recipe, *changes, f'distil.unlabelled="{tmp_path}/more.txt"')
    with pytest.raises(DataError, match="has no labels for 96 of 96 texts"):
        run_recipe(*labelled(splits=("test",)))
    assert trained == []


def test_keys_follow_what_the_file_says(labelled):
    """Another smoothing is another student; recipes without such a teacher keep their keys."""
    first = {plan.key for plan in plans_of(*labelled())}
    assert first == {plan.key for plan in plans_of(*labelled())}
    assert first.isdisjoint(plan.key for plan in plans_of(*labelled(more=", smoothing = 0.2")))


def test_a_table_of_a_teacher_has_one_source():
    data = {"name": "x", "data": {"use": "demo_intents"}, "students": [{"model": "albeto-tiny"}]}
    with pytest.raises(ConfigError, match="`labels` takes the place of a model"):
        config.build_config(Recipe, {**data, "teachers": [{"labels": "a.jsonl", "model": "b"}]})


def test_a_file_in_the_place_of_a_teacher_is_one_of_labels(tmp_path):
    """As `destila run data.csv --teacher labels.jsonl` and `destila.distil` take it."""
    rows = "".join(f"texto {i},{'ab'[i % 2]}\n" for i in range(40))
    (tmp_path / "data.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    recipe = recipe_of_file(tmp_path / "data.csv", FileChoices(), teacher="labels.jsonl")
    assert [teacher.labels for teacher in recipe.teachers] == ["labels.jsonl"]
    assert recipe.teachers[0].label == "labels"
    assert [term["use"] for term in recipe.distil.terms] == ["hard", "kl"]
    assert recipe.distil.augment is None
    assert recipe.students[0].shape is not None
