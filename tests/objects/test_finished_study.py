"""The whole job from Python: data in, a table, a model within a budget, and what becomes of it."""

from __future__ import annotations

import pytest

import destila
from destila.errors import ConfigError, DataError
from destila.objects.finished_study import FinishedStudy, StudyTable
from destila.objects.study_chart import study_chart
from destila.records import append_record
from tests.fixtures.toy_records import toy_record

LABELS = ("no", "sí")
ROWS = [{"texto": f"Hola {n}", "clase": LABELS[n % 2]} for n in range(8)]


@pytest.fixture
def study(tmp_path, untrained):
    """A study of one student, as its records and its folder have it."""
    record = toy_record("distilled", 3)
    folder = tmp_path / "runs" / "toy"
    untrained("classify", LABELS, "runs/toy/students/distilled/best")
    append_record(folder / "record.jsonl", record)
    return FinishedStudy("toy", StudyTable([record]), (record,), folder)


def test_a_table_is_read_as_rows_as_text_and_in_a_notebook(study):
    """Names are escaped; the chart is in the page itself."""
    (row,) = study.table
    assert (row["role"], row["score"], len(study.table)) == ("distilled", 0.75, 1)
    assert str(study.table).splitlines()[1].split() == [
        "tiny",
        "distilled",
        "75.0",
        "0.00",
        "–",
        "–",
    ]
    html = study.table._repr_html_()
    assert "<td>75.0</td>" in html
    assert html.count("<svg") == 1
    assert "http:" not in html.replace("http://www.w3.org", "")
    assert study_chart([]) == ""


def test_a_model_is_picked_saved_and_scored(study, tmp_path):
    """The copy has a card with the score, answers alike, and is never written over."""
    model = study.pick(max_mb=1)
    saved = model.save(tmp_path / "mine")
    assert "75.0" in (saved / "README.md").read_text(encoding="utf-8")
    copy = destila.load(saved)
    assert copy.predict("Hola") == model.predict("Hola")
    with pytest.raises(ConfigError, match="exists already"):
        model.save(saved)
    with pytest.raises(ConfigError, match="nearest is"):
        study.pick(min_score=0.9)

    right = [answer.label for answer in model.predict([row["texto"] for row in ROWS])]
    scores = model.evaluate(ROWS, text="texto", label="clase")
    assert scores["accuracy"] == sum(r["clase"] == a for r, a in zip(ROWS, right, strict=True)) / 8
    tags = tmp_path / "tags.conll"
    names = ("Ana", "Luis", "Inés", "Begoña")
    tags.write_text("".join(f"{n} B-PER\nvive O\n\n" for n in names), encoding="utf-8")
    with pytest.raises(DataError, match="does 'classify'"):
        model.evaluate(tags)


def test_a_model_is_exported_and_opened(study, tmp_path):
    model = study.pick()
    exported = model.export(tmp_path / "out", kinds=("fp32",))
    assert exported.folder == tmp_path / "out"
    assert exported.predict("Hola").label == model.predict("Hola").label


@pytest.mark.parametrize("kind", ["list", "pandas", "polars", "datasets"])
def test_rows_become_a_file_of_the_study(kind, tmp_path, monkeypatch):
    """Equal rows are the same study, whatever holds them; the options go into its recipe."""
    recipes = []
    monkeypatch.setattr(
        "destila.objects.finished_study.run_whole", lambda r, quiet: recipes.append(r)
    )
    rows = [{"texto": f"Hola {n}", "clase": LABELS[n % 2]} for n in range(200)]
    if kind == "list":
        data = rows
    else:
        library = pytest.importorskip(kind)
        made = library.Dataset.from_list if kind == "datasets" else library.DataFrame
        data = made(rows)
    destila.distil(data, text="texto", label="clase", out=tmp_path, quiet=True)
    (recipe,) = recipes
    assert recipe.name.startswith("rows-")
    assert (recipe.data["text"], recipe.data["label"]) == ("texto", "clase")
    lines = (tmp_path / recipe.name / "data.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"texto": "Hola 0", "clase": "no"}'
    assert len(lines) == 200


@pytest.mark.parametrize(("rows", "says"), [([], "no rows"), ([3], "no object of texts")])
def test_rows_that_are_none_are_refused(rows, says, tmp_path):
    with pytest.raises(DataError, match=says):
        destila.distil(rows, out=tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
