"""Files as people have them, each from the file to a report and to answers, in three commands.

    destila run FILE        -> recipe, models, report
    destila report STUDY
    destila predict STUDENT FILE --out answers.csv

`pytest -s` prints a line for each of them.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from destila import cli

LABELS = ("queja", "elogio")
TEXTS = {
    "queja": "El envío llegó tarde y nadie contestó: «pésimo», reclamé {} €.",
    "elogio": "¡Qué buena atención! El señor Núñez resolvió el pedido {} en un día.",
}
HEADER = ("n.º", "comentario", "tipo")
SMALL = (
    "teachers.0.shape={kind = 'bert', layers = 1, hidden = 16, heads = 2}",
    "teachers.0.tokenizer={vocab_size = 320}",
    "students.0.shape={kind = 'bert', layers = 1, hidden = 16, heads = 2}",
    "students.0.tokenizer={vocab_size = 320}",
    "train.epochs=1",
    "compare=false",
    "measure.texts=0",
)


@dataclass(frozen=True)
class UserFile:
    """A file of a user, and what its recipe must say."""

    name: str
    kind: str = "utf-8"
    rows: int = 60
    rare: int = 2
    """Of so many rows one is a complaint."""
    several: bool = False
    says: str = ""


CASES = {
    "95 % of one label": UserFile("quejas.csv", rows=200, rare=20, says='metric = "macro_f1"'),
    "30 rows": UserFile("quejas.csv", "utf-8-sig", rows=30),
    "cp1252, semicolons": UserFile("quejas.csv", "cp1252", rows=40, says='encoding = "cp1252"'),
    "Excel": UserFile("quejas.xlsx", "xlsx"),
    "several labels": UserFile("temas.csv", several=True, says='label_separator = "|"'),
    "UTF-16": UserFile("quejas.csv", "utf-16", says='encoding = "utf-16"'),
}
QUICK = "cp1252, semicolons"


def _rows(file):
    """Rows of number, text and label; of several labels the third row has both."""
    for n in range(file.rows):
        label = LABELS[n % file.rare != 0]
        text = TEXTS[label].format(n)
        if file.several and n % 3 == 0:
            label, text = "|".join(LABELS), " ".join(TEXTS[each] for each in LABELS).format(n, n)
        yield n, text, label


def _write(path, file):
    if file.kind == "xlsx":
        book = openpyxl.Workbook()
        for row in (HEADER, *_rows(file)):
            book.active.append(row)
        book.save(path)
        return
    text = io.StringIO()
    delimiter = ";" if file.kind == "cp1252" else ","
    csv.writer(text, delimiter=delimiter).writerows([HEADER, *_rows(file)])
    path.write_bytes(text.getvalue().encode(file.kind))


def _destila(monkeypatch, *words):
    """Run a command as a user types it; it must end well."""
    monkeypatch.setattr("sys.argv", ["destila", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None)


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c == QUICK else pytest.mark.slow) for c in CASES]
)
def test_three_commands_from_a_file_to_answers(case, tmp_path, monkeypatch):
    file = CASES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("destila.study.testing._peak_memory", lambda *_: 1)
    _write(tmp_path / file.name, file)

    changes = [word for each in SMALL for word in ("--set", each)]
    _destila(monkeypatch, "run", file.name, "--name", "s", *changes)
    _destila(monkeypatch, "report", "runs/s")
    student = "runs/s/students/student-distilled-s0/best"
    _destila(monkeypatch, "predict", student, file.name, "--out", "respuestas.csv")

    # The recipe says what was recognised, the report has every role, every row has its answer.
    assert file.says in (tmp_path / "s.toml").read_text(encoding="utf-8")
    lines = Path("runs/s/record.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert {"distilled", "teacher", "baseline"} == {record["role"] for record in records}
    assert {len(record["items"]) for record in records if file.rows < 200} <= {file.rows}
    assert Path("runs/s/report.html").is_file()
    delimiter = ";" if file.kind == "cp1252" else ","
    with (tmp_path / "respuestas.csv").open(encoding="utf-8", newline="") as lines:
        answers = list(csv.DictReader(lines, delimiter=delimiter))
    assert [row["comentario"] for row in answers] == [text for _, text, _ in _rows(file)]
    known = {"labels"} if file.several else {"label"}
    assert known <= set(answers[0])
    sys.stdout.write(f"{case:20} {file.name:12} {file.rows:4} rows -> {len(answers):4} answers\n")
