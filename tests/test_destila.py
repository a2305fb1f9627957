"""The public functions, as the README shows them: from a data file to answers, in five lines of Python."""

from __future__ import annotations

import random

import pytest

import destila
from destila.errors import ConfigError, ModelError
from tests.fixtures.studies import records_of

LABELS = ("cine", "viaje")
WORDS = {"cine": ("película", "actriz", "guion"), "viaje": ("vuelo", "hotel", "tren")}


@pytest.fixture
def reviews(tmp_path, monkeypatch, tiny, fast_testing):
    """A file of 40 short texts with two labels; `tiny` sends caches to the test's folder."""
    del tiny, fast_testing
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    rows = [
        f"{number},Hablo de {draw.choice(WORDS[LABELS[number % 2]])} {number},{LABELS[number % 2]}"
        for number in range(40)
    ]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["id,texto,tema", *rows]) + "\n", encoding="utf-8")
    return path


def test_five_lines_lead_from_a_file_to_answers(reviews, untrained):
    """`distil` trains students of a teacher's folder, `load` opens one, `predict` labels texts."""
    teacher = untrained("classify", LABELS, "teacher", layers=2)

    study = destila.distil(reviews, teacher=teacher)
    model = destila.load(study.folder / "students" / "balanced-distilled-s0" / "best")
    answers = model.predict(["Quiero un vuelo a Bogotá", "La actriz salva el guion"])

    assert [row["model"] for row in study.table]
    assert all(answer.label in LABELS for answer in answers)
    assert {record.role for record in study.records} >= {"teacher", "distilled"}


def test_a_recipe_runs_from_its_file_and_as_an_object(tiny, fast_testing, tmp_path):
    """`run` takes both, and the second run finds every model recorded."""
    del fast_testing
    path = tiny()

    from_file = destila.run(path)
    records = records_of(tmp_path)
    assert [record.run for record in from_file.records] == list(records)

    from destila.study.planning.recipe import read_recipe

    recipe = read_recipe(str(path))
    assert isinstance(recipe, destila.Recipe)
    assert list(destila.run(recipe).table) == list(from_file.table)


def test_options_of_commands_are_checked(tmp_path):
    """`export` and `measure` refuse an option that their command does not have, and a missing folder."""
    with pytest.raises(ConfigError, match="colour"):
        destila.export(tmp_path, colour="red")
    with pytest.raises(ModelError):
        destila.measure(tmp_path)
