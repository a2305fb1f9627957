"""A finished model on a newly labelled file, in one command."""

from __future__ import annotations

import json

import pytest

from destila.commands import evaluate
from destila.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("fast_testing")


@pytest.fixture
def labelled(tmp_path):
    """A table of texts with labels."""

    def write(*labels: str, name: str = "nuevos.csv") -> str:
        rows = [f"el niño número {i} come,{label}" for i, label in enumerate(labels * 6)]
        (tmp_path / name).write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_a_model_is_scored_on_all_of_a_file(untrained, labelled, tmp_path):
    """With its own labels; predictions and mistakes go where they are asked for, and nowhere else."""
    model = str(untrained("classify", ("no", "sí", "quizá")))
    config = evaluate.Config(recipe=model, file=labelled("no", "sí"), out=str(tmp_path / "out"))
    result = evaluate.run(config)
    assert result["role"] == "evaluated"
    assert len(result["items"]) == 12
    assert result["details"]["labels"] == ["no", "sí", "quizá"]
    assert result["latency"]
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 12
    wrong = [json.loads(x) for x in (tmp_path / "out" / "wrong.jsonl").read_text().splitlines()]
    right = round(12 * result["scores"]["accuracy"])
    assert len(wrong) == 12 - right
    assert wrong == sorted(wrong, key=lambda row: -row["probability"])
    assert all(row["gold"] != row["predicted"] for row in wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "nuevos.csv", "out"]

    card = evaluate.show(result, config)
    assert card["rows"][0]["of"] == "accuracy"
    assert len(card["sections"][0]["rows"]) == 3


def test_what_does_not_fit_is_said(untrained, labelled):
    """A label that the model lacks, a file without a model, a recipe beside a file."""
    model = str(untrained("classify", ("no", "sí")))
    with pytest.raises(DataError, match=r"has the label 'talvez', which .* does not know"):
        evaluate.run(evaluate.Config(recipe=model, file=labelled("no", "talvez")))
    with pytest.raises(ConfigError, match="destila evaluate MODEL FILE"):
        evaluate.run(evaluate.Config(recipe=model))
    with pytest.raises(ConfigError, match="a file goes with a model alone"):
        evaluate.run(evaluate.Config(recipe="r.toml", file="x.csv"))
    tagger = str(untrained("tag", ("O", "B-PER"), name="tagger"))
    with pytest.raises(DataError):
        evaluate.run(evaluate.Config(recipe=tagger, file=labelled("no", "sí")))


def test_a_file_without_an_identifier_is_scored(untrained, tmp_path):
    model = untrained("classify", ("no", "sí"))
    facts = json.loads((model / "destila.json").read_text())
    facts["columns"] = {"text": "Texto", "label": "Clase", "id": "Número"}
    (model / "destila.json").write_text(json.dumps(facts))
    file = tmp_path / "sin.csv"
    file.write_text("Texto,Clase\n" + "come pan,no\nva a Lima,sí\n" * 3)
    result = evaluate.run(evaluate.Config(recipe=str(model), file=str(file)))
    assert len(result["items"]) == 6
    assert evaluate.show(result, evaluate.Config(recipe=str(model), file=str(file)))[
        "title"
    ].endswith(f" on {file}")

    file.write_text("Cuerpo,Clase\n" + "come pan,no\nva a Lima,sí\n" * 3)
    with pytest.raises(
        DataError, match=r"no column 'Texto', which held the text .* give --text NAME"
    ):
        evaluate.run(evaluate.Config(recipe=str(model), file=str(file)))
