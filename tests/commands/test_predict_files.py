"""Tables in and out of `predict`, and places where answers must not go."""

from __future__ import annotations

import csv
import errno
import json
import os

import pytest

import destila.inference.resumable as resumable
from destila.commands.predict import Config, run
from destila.errors import ConfigError, DataError
from destila.inference import label_texts

LABELS = ("no", "sí")
TABLE = 'clave;Descripción;label\na1;"El niño; comió";x\na2;;y\na3;"dos\nlíneas";z\n'


@pytest.fixture
def model(untrained):
    """A classifier of a table whose texts stood in `Descripción`."""
    folder = untrained("classify", LABELS)
    facts = (
        json.loads((folder / "destila.json").read_text())
        if (folder / "destila.json").exists()
        else {}
    )
    columns = {"text": "Descripción", "label": "label", "id": "clave"}
    (folder / "destila.json").write_text(json.dumps(facts | {"columns": columns}))
    return str(folder)


@pytest.fixture
def table(tmp_path):
    """A CSV file with semicolons, a blank text and one of two lines."""
    path = tmp_path / "new.csv"
    path.write_text(TABLE, encoding="cp1252")
    return path


def test_a_table_is_read_by_the_columns_of_the_training(model, table):
    said = list(run(Config(model=model, file=str(table))))
    assert [(o["id"], o["text"]) for o in said] == [
        ("a1", "El niño; comió"), ("a2", ""), ("a3", "dos\nlíneas")
    ]  # fmt: skip
    assert "warning" in said[1]


def test_json_lines_may_have_the_columns_of_the_training(model, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"clave": 7, "Descripción": "uno"}\n', encoding="utf-8")
    (said,) = run(Config(model=model, file=str(tmp_path / "x.jsonl")))
    assert (said["id"], said["text"]) == ("7", "uno")


def test_another_column_can_be_named(model, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("cuerpo,otra\nuno,dos\n")
    with pytest.raises(DataError, match=r"x\.csv: no column 'Descripción'.*--columns text=NAME"):
        list(run(Config(model=model, file=str(path))))
    (said,) = run(Config(model=model, file=str(path), columns=("text=cuerpo",)))
    assert said["text"] == "uno"
    with pytest.raises(ConfigError, match="--columns texto=cuerpo: write text=NAME"):
        run(Config(model=model, file=str(path), columns=("texto=cuerpo",)))


def test_a_row_of_another_width_costs_itself_alone(model, tmp_path):
    (tmp_path / "x.csv").write_text("text,b\nuno,1\ndos,2,3\ntres,3\n")
    said = list(run(Config(model=model, file=str(tmp_path / "x.csv"))))
    assert [o.get("text") for o in said] == ["uno", None, "tres"]
    assert said[1]["error"].startswith(f"{tmp_path}/x.csv, line 3: 3 columns")


def test_a_table_of_answers_has_the_columns_of_the_input(model, table, tmp_path):
    out = tmp_path / "answers.csv"
    done = run(Config(model=model, file=str(table), out=str(out)))
    assert (done["texts"], done["warnings"], done["errors"]) == (3, 1, 0)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert list(rows[0]) == [
        *("clave", "Descripción", "label"),
        *("predicted_label", "probability", "warning", "error"),
    ]
    assert [row["Descripción"] for row in rows] == ["El niño; comió", "", "dos\nlíneas"]
    assert {row["predicted_label"] for row in rows} <= set(LABELS)


def test_a_faulty_row_keeps_its_cells_beside_its_error(model, tmp_path):
    """Of another width, or with a quote that nobody closes: the rows around it have answers."""
    path, out = tmp_path / "x.csv", tmp_path / "y.csv"
    path.write_text('clave,Descripción\n1,uno\n2,dos,más\n3,"tres\n4,cuatro\n', encoding="utf-8")
    done = run(Config(model=model, file=str(path), out=str(out)))
    assert (done["texts"], done["errors"]) == (4, 2)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["clave"], row["Descripción"]) for row in rows] == [
        *(("1", "uno"), ("2", "dos, más"), ("3", '"tres'), ("4", "cuatro")),
    ]
    assert [bool(row["label"]) for row in rows] == [True, False, False, True]
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert "3 columns" in rows[1]["error"]
    assert "a quote is opened" in rows[2]["error"]


def test_a_killed_table_goes_on_behind_its_last_row(model, table, tmp_path, monkeypatch):
    """A cell of two lines is one row."""
    out, whole = tmp_path / "answers.csv", tmp_path / "whole.csv"
    run(Config(model=model, file=str(table), out=str(whole)))
    monkeypatch.setattr(label_texts, "TEXTS_AT_ONCE", 3)

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Config(model=model, file=str(table), out=str(out)), stop)
    part = tmp_path / ".answers.csv.part"
    text = part.read_text(encoding="utf-8")
    part.write_text(text[: text.index("líneas")], encoding="utf-8")
    assert run(Config(model=model, file=str(table), out=str(out)))["texts"] == 3
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("kind", ["conll", "conllu"])
def test_a_tagger_reads_column_files(untrained, tmp_path, kind):
    lines = {
        "conll": "-DOCSTART- -X-\n\nAna B-PER\nvive O\n\nLuis B-PER\n",
        "conllu": "\n".join(
            f"{n}\t{w}\t_\tNOUN" + "\t_" * 6 for n, w in enumerate(("Ana", "vive"), 1)
        )
        + "\n\n1\tLuis\t_\tNOUN"
        + "\t_" * 6
        + "\n\n",
    }
    path = tmp_path / f"new.{kind}"
    path.write_text(lines[kind], encoding="utf-8")
    said = list(run(Config(model=str(untrained("tag", ("A", "B"))), file=str(path))))
    assert [o["text"] for o in said] == ["Ana vive", "Luis"]


def test_no_file_of_others_is_overwritten(model, tmp_path):
    """The same command may write its own file again, unless somebody changed it."""
    out = tmp_path / "notes.jsonl"
    (tmp_path / "in.txt").write_text("uno\n")
    config = Config(model=model, file=str(tmp_path / "in.txt"), out=str(out))
    out.write_text("mine\n")
    with pytest.raises(ConfigError, match=r"notes\.jsonl exists .* or --overwrite"):
        run(config)
    assert out.read_text() == "mine\n"
    assert run(config.model_copy(update={"overwrite": True}))["texts"] == 1
    assert run(config)["texts"] == 1
    (tmp_path / "other.txt").write_text("dos\n")
    with pytest.raises(ConfigError, match="was not written by this command"):
        run(config.model_copy(update={"file": str(tmp_path / "other.txt")}))
    out.write_text(out.read_text() + "edited\n")
    with pytest.raises(ConfigError, match="--overwrite"):
        run(config)


def test_places_that_cannot_be_written_have_a_remedy(model, tmp_path, monkeypatch):
    (tmp_path / "in.txt").write_text("uno\n")
    (tmp_path / "file").write_text("")

    def refused(out: str) -> str:
        with pytest.raises(ConfigError) as caught:
            run(Config(model=model, file=str(tmp_path / "in.txt"), out=out))
        return str(caught.value)

    assert "is a folder: name a file in it" in refused(str(tmp_path))
    assert "is a file and no folder" in refused(str(tmp_path / "file" / "x.jsonl"))

    for number, said in ((errno.ENOSPC, "make room"), (errno.EACCES, "a folder of yours")):

        def fail(*_: object, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(resumable.os, "fsync", fail)
        assert said in refused(str(tmp_path / "x.jsonl"))
        assert not (tmp_path / "x.jsonl").exists()


def test_a_bad_question_costs_itself_alone(untrained, tmp_path):
    rows = [
        {"question": "¿Quién?", "context": "Ana vive en Lima."},
        {"question": "¿Quién es? " * 200, "context": "Ana vive en Lima."},
        {"question": "¿Quién?", "context": " "},
        {"question": "¿Quién?", "context": "Ana " + "x/" * 500 + " Lima."},
        {"question": "¿Quién?"},
        {"question": "¿Quién?", "context": "Ana vive en Lima."},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    (tmp_path / "in.jsonl").write_text(text, encoding="utf-8")
    folder = untrained("span", ("start", "end"))
    said = list(run(Config(model=str(folder), file=str(tmp_path / "in.jsonl"))))
    assert [sorted(o.keys() & {"answer", "error", "warning"}) for o in said] == [
        ["answer"], ["error"], ["answer", "warning"], ["answer", "warning"], ["error"], ["answer"],
        ["answer", "warning"],
    ]  # fmt: skip
    assert "line 2: the question has" in said[1]["error"]
    assert (said[2]["answer"], said[2]["null_probability"]) == ("", 1.0)
    assert said[0].keys() == said[5].keys()
