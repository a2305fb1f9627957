"""Files as people have them, each from the file to a report and to answers for the same file."""

from __future__ import annotations

import csv
import io
import json

import openpyxl
import pytest

from destila.commands import predict, report, run

LABELS = ("queja", "elogio")
TEXTS = {
    "queja": "El envío llegó tarde y nadie contestó: «pésimo», reclamé {} €.",
    "elogio": "¡Qué buena atención! El señor Núñez resolvió el pedido {} en un día.",
}
SMALL = (
    "teachers.0.shape={kind = 'bert', layers = 1, hidden = 16, heads = 2}",
    "teachers.0.tokenizer={vocab_size = 320}",
    "students.0.shape={kind = 'bert', layers = 1, hidden = 16, heads = 2}",
    "students.0.tokenizer={vocab_size = 320}",
    "train.epochs=1",
    "compare=false",
    "measure.texts=0",
)


def _rows(count, rare):
    """Rows of text and label; of `rare` rows one is a complaint."""
    labels = [LABELS[n % rare != 0] for n in range(count)]
    return [(n, TEXTS[label].format(n), label) for n, label in enumerate(labels)]


def _csv(rows, delimiter):
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([("n.º", "comentario", "tipo"), *rows])
    return file.getvalue()


def _write(path, kind, rows):
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for row in (("n.º", "comentario", "tipo"), *rows):
            book.active.append(row)
        book.save(path)
    else:
        path.write_bytes(_csv(rows, ";" if kind == "cp1252" else ",").encode(kind))


def _through(tmp_path, monkeypatch, name, kind, rows):
    """Take a file through the three commands; return its recipe, its report and its answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("destila.study.testing._peak_memory", lambda *_: 1)
    path = tmp_path / name
    _write(path, kind, rows)

    run.run(run.Config(recipe=str(path), name="s", set=SMALL))
    page = report.run(report.Config(study="runs/s"))
    model = "runs/s/students/student-distilled-s0/best"
    answers = [
        json.loads(json.dumps(a)) for a in predict.run(predict.Config(model=model, file=str(path)))
    ]
    return (tmp_path / "s.toml").read_text(encoding="utf-8"), page, answers


def _check(tmp_path, page, answers, rows):
    assert [answer["text"] for answer in answers] == [text for _, text, _ in rows]
    assert {answer["label"] for answer in answers} <= set(LABELS)
    roles = {row["role"] for row in page["rows"]}
    assert {"distilled", "teacher", "baseline"} <= roles
    assert (tmp_path / "runs/s/report.html").is_file()


def test_a_spanish_windows_file_goes_all_the_way(tmp_path, monkeypatch):
    rows = _rows(40, 2)
    recipe, page, answers = _through(tmp_path, monkeypatch, "quejas.csv", "cp1252", rows)
    assert 'encoding = "cp1252"' in recipe
    _check(tmp_path, page, answers, rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "count", "rare"),
    [
        ("quejas.xlsx", "xlsx", 60, 2),
        ("quejas.csv", "utf-16", 60, 2),
        ("quejas.csv", "utf-8-sig", 30, 2),
        ("quejas.csv", "utf-8", 200, 20),
    ],
    ids=["excel", "utf-16", "30 rows", "95 % of one label"],
)
def test_a_file_goes_all_the_way(tmp_path, monkeypatch, name, kind, count, rare):
    rows = _rows(count, rare)
    recipe, page, answers = _through(tmp_path, monkeypatch, name, kind, rows)
    assert ('metric = "macro_f1"' in recipe) == (rare == 20)
    _check(tmp_path, page, answers, rows)
