"""A study on the terminal: its models, its conclusions, and the command that picks one."""

from __future__ import annotations

import pytest

from destila.commands._cards import after_measuring, answers_card, command_line, study_card

ROW = {
    "model": "tiny",
    "role": "finetuned",
    "params": 0,
    "size_mb": 1.2,
    "main": "macro_f1",
    "score": 0.5,
    "sd": None,
    "seeds": 1,
    "latency_ms": 2.2,
    "speed_up": None,
}
RESULT = {"study": "s", "source": "runs/s", "rows": [ROW], "lines": ["The baseline wins."]}


def test_a_study_shows_its_score_once_and_what_picks():
    card = study_card(RESULT)
    assert card["title"] == "study s: macro F1"
    assert card["next"] == "destila pick runs/s --max-ms 3"
    assert card["lines"] == ["The baseline wins."]
    assert card["rows"][0]["role"] == "fine-tuned"
    assert card["rows"][0]["params"] is None


def test_without_times_the_budget_is_in_megabytes():
    result = {**RESULT, "rows": [{**ROW, "latency_ms": None}]}
    assert study_card(result)["next"] == "destila pick runs/s --max-mb 2"


@pytest.mark.parametrize("result", [{}, {"study": "s", "lines": ["trained"]}])
def test_what_was_not_tested_has_no_table(result):
    card = study_card(result)
    assert card["rows"] == []
    assert "next" not in card


@pytest.mark.parametrize(
    ("backend", "weights", "command"),
    [
        ("torch", "loaded", "export"),
        ("onnxruntime", "loaded", "predict"),
        ("torch", "random", "init"),
    ],
)
def test_a_measured_model_leads_on(backend, weights, command):
    record = {
        "config": {"models": ["m"]},
        "conditions": {"backend": backend},
        "details": {"weights": weights},
    }
    assert after_measuring(record).startswith(f"destila {command} ")


def test_names_with_blanks_are_quoted():
    assert command_line("run", "mi receta.toml") == "destila run 'mi receta.toml'"


def test_a_file_of_answers_is_told_in_a_sentence(tmp_path):
    made = {"out": "a.csv", "texts": 1200, "warnings": 2, "errors": 0}
    card = answers_card(made, str(tmp_path))
    assert card["lines"] == [
        "1,200 texts have an answer in a.csv",
        "2 of them have a warning: the text was cut or repaired",
    ]
    assert card["next"] == f"destila export {tmp_path}"
    (tmp_path / "export.json").write_text("{}")
    assert answers_card(made, str(tmp_path))["next"] == f"destila serve {tmp_path}"
    assert answers_card(made, "es-ner")["next"] == "destila serve es-ner"
