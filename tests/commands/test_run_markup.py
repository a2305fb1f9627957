"""Labels and texts that look like markup of a terminal stay what they are, from the file to the answers."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from destila import cli
from destila.study.planning.recipe import read_recipe

LABELS = ("[/x]", "[bold]sí[/bold]", "[link=http://a.es]no")
RECIPE = """
name = "marks"
max_length = 16
out = "runs"

[data]
use = "table"
train = "[b]datos.csv"
text = "[i]texto"
label = "clase"

[[teachers]]
name = "teacher"
shape = { kind = "bert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 300 }

[[students]]
name = "student"
shape = { kind = "bert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 300 }

[train]
epochs = 1
precision = "fp32"

[measure]
texts = 0
"""


@pytest.fixture
def destila(tmp_path, monkeypatch, capsys, fast_testing):
    """Runs a command in a folder with such a file; returns its output, which holds no traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    with (tmp_path / "[b]datos.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["[i]texto", "clase"])
        for number in range(90):
            rows.writerow([f"El [red]texto[/red] {number} de [{number}]", LABELS[number % 3]])
    (tmp_path / "marks.toml").write_text(RECIPE, encoding="utf-8")

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["destila", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        assert end.value.code == 0, shown.err
        return shown.out

    return run


def test_init_and_data_show_labels_as_they_are(destila):
    assert "clase" in destila("init", "[b]datos.csv", "--out", "[i]r.toml", "--text", "[i]texto")
    assert read_recipe("[i]r.toml").data["label"] == "clase"
    shown = destila("data", "marks.toml")
    assert all(label in shown for label in LABELS)


@pytest.mark.slow
def test_a_study_and_its_answers_keep_them(destila, tmp_path):
    assert "study marks" in destila("run", "marks.toml")
    destila("report", "runs/marks")
    page = (tmp_path / "runs/marks/report.html").read_text(encoding="utf-8")
    assert all(label in page for label in LABELS)
    text = (tmp_path / "runs/marks/report.md").read_text(encoding="utf-8")
    assert r"\[/x\]" in text

    best = "runs/marks/students/student-distilled-s0/best"
    answer = json.loads(destila("predict", best, "--text", "[/b] hola [red]"))
    assert answer["text"] == "[/b] hola [red]"
    assert set(answer["probabilities"]) == set(LABELS)
