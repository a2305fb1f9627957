"""Labels and the worst examples of a study's models."""

from __future__ import annotations

import json

from destila.report import page
from destila.report.mistakes import labels_section, wrong_section
from destila.report.rows import group_rows

LABELS = {"sí": {"f1": 0.5, "support": 3.0}, "no": {"f1": 0.7, "support": 1700.0}}


def test_a_label_has_a_column_for_every_model(record):
    rows = group_rows(
        [record(role, details={"per_label": LABELS}) for role in ("distilled", "finetuned")]
    )
    section = labels_section(rows)
    assert section.header == ["label", "examples", "tiny (distilled)", "tiny (fine-tuned)"]
    assert section.body == [["sí", "3", "50.00", "50.00"], ["no", "1,700", "70.00", "70.00"]]
    assert labels_section(group_rows([record()])) is None


def test_the_worst_examples_of_the_best_student_are_shown(record, tmp_path):
    made = [record(right=8), record("finetuned", right=6), record("teacher", right=9)]
    lines = [
        {
            "id": "3",
            "text": "<b>mal</b>",
            "pair": "ctx",
            "gold": "sí",
            "predicted": "no",
            "probability": 0.987,
        },
        {"id": "9", "text": "Ana fue", "words": [["Ana", "B-PER", "O"]], "probability": 0.6},
        {"id": "12", "text": "x", "gold": ["a", "b"], "predicted": [], "probability": 0.5},
    ]
    path = tmp_path / "tested" / made[0].run / "wrong.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    section = wrong_section(group_rows(made), tmp_path)
    assert section.body == [
        ["sí", "no", "99 %", "<b>mal</b> | ctx"],
        ["Ana B-PER", "Ana O", "60 %", "Ana fue"],
        ["a, b", "no label", "50 %", "x"],
    ]
    drawn = page.study_page(made, "toy", tmp_path)
    assert "&lt;b&gt;mal&lt;/b&gt;" in drawn
    assert "Most wrong test examples" not in page.study_page(made, "toy")
