"""Five files as users have them, each in three commands: `init`, `run`, `predict`, and what they print.

95 % of one class, 30 rows, cp1252 with semicolons, Excel, several labels a row. `SHOW=1 pytest`
shows every line that a user reads. The models are so small that they learn nothing; what is shown is that
no step stops, that each says what it did, and that every text has an answer.
"""

from __future__ import annotations

import csv
import json
import os
import sys

import pytest

from destila import cli
from destila.formats.tables import table_rows

SMALL = (
    "train.epochs=1",
    "folds=2",
    "measure.texts=2",
    "measure.padded_512=false",
    "measure.repeats=1",
)
WORDS = ("pan", "vino", "tren", "hotel", "señor", "niña")


def _text(number):
    return f"El {WORDS[number % 6]} de la calle {number} costó 3,5 € en {WORDS[number % 5]}."


def _rows(count, label):
    return [[_text(n), label(n)] for n in range(count)]


def _write_csv(path, header, rows, **options):
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
        csv.writer(file, **options).writerows([header, *rows])


def _skewed(folder):
    rows = _rows(120, lambda n: "malo" if n % 20 == 3 else "bueno")
    _write_csv(folder / "datos.csv", ["texto", "etiqueta"], rows)
    return "datos.csv", ("main score is macro_f1", "macro F1")


def _thirty(folder):
    _write_csv(folder / "datos.csv", ["texto", "etiqueta"], _rows(30, lambda n: "ab"[n % 2]))
    return "datos.csv", ("cross-validation (folds = 5)", "accuracy")


def _windows(folder):
    rows = _rows(60, lambda n: ["crédito", "débito"][n % 2])
    header = ["Descripción", "Categoría"]
    _write_csv(folder / "datos.csv", header, rows, encoding="cp1252", delimiter=";")
    return "datos.csv", ("datos.csv is read as cp1252", "accuracy")


def _excel(folder):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["Comentario", "Tipo"], *_rows(60, lambda n: "ab"[n % 2])]:
        book.active.append(row)
    book.save(folder / "datos.xlsx")
    return "datos.xlsx", ("recipe written", "accuracy")


def _several(folder):
    sets = ["comida", "viaje", "comida|viaje", "precio|viaje"]
    _write_csv(folder / "datos.csv", ["texto", "temas"], _rows(60, lambda n: sets[n % 4]))
    return "datos.csv", ("rows have several labels, parted by '|'", "micro F1")


@pytest.mark.slow
@pytest.mark.parametrize("made", [_skewed, _thirty, _windows, _excel, _several])
def test_from_a_file_to_answers_in_three_commands(made, tmp_path, monkeypatch, capsys, caplog, bpe):
    from destila.models import hf, mlm, store

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    shape = {"kind": "bert", "layers": 2, "hidden": 16, "positions": 64}
    loaded = hf.load(shape, tokenizer=bpe, task="tag", labels=("O",), seed=1)
    store.save_model(mlm.MaskedModel(loaded.model.encoder.config), bpe, tmp_path / "maestro")
    file, (said, score) = made(tmp_path)

    def typed(*words):
        """Type a command; return what a user reads."""
        monkeypatch.setattr(sys, "argv", ["destila", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        notes = "".join(f"{message}\n" for message in caplog.messages)
        caplog.clear()
        shown = f"$ destila {' '.join(words)}\n{notes}{err}{out}"
        with capsys.disabled():
            sys.stderr.write(shown if os.environ.get("SHOW") else "")
        assert end.value.code in (0, None), shown
        assert not any(word in shown for word in ("Traceback", "None", "{'"))
        return shown

    first = typed("init", file, "--teacher", "maestro", "--size", "fast")
    assert said in first
    assert "next: destila run datos.toml" in first

    changes = [word for change in SMALL for word in ("--set", change)]
    second = typed("run", "datos.toml", *changes)
    assert f"study datos: {score}" in second
    assert "majority" in second
    assert "next: destila pick runs/datos" in second
    assert (tmp_path / "runs" / "datos" / "report.html").stat().st_size > 10_000

    model = "runs/datos/students/fast-distilled-s0/best"
    third = typed("predict", model, file, "--out", "respuestas.csv")
    assert "next: destila export" in third
    answers = [row for _, row in table_rows("respuestas.csv")]  # parted as the file itself is
    facts = json.loads((tmp_path / model / "destila.json").read_text(encoding="utf-8"))
    assert len(answers) == {"_skewed": 120, "_thirty": 30}.get(made.__name__, 60)
    known = set(facts["labels"])
    given = [set(json.loads(r["labels"])) if "labels" in r else {r["label"]} for r in answers]
    assert all(each <= known for each in given)
    assert not any(row["error"] for row in answers)
