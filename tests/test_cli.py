"""The command line as a person and as a program meet it: one JSON object, standard input, options that disagree."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from destila import cli


@pytest.fixture
def say(monkeypatch, capsys):
    """Runs `destila ARGUMENTS` with bytes on standard input; returns exit code and both outputs."""

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["destila", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def model(tmp_path, bpe):
    from destila.models import hf, store

    shape = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64}
    loaded = hf.load(shape, tokenizer=bpe, task="tag", labels=("DET", "NOUN"), seed=1)
    store.save_model(loaded.model, bpe, tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def table(tmp_path):
    rows = [f"el niño come {i},{'sí' if i % 2 else 'no'}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return str(tmp_path / "data.csv")


def test_json_is_one_object_and_nothing_else(say, table, model, tmp_path):
    """Every command that takes --json prints one object and nothing else."""
    recipe = str(tmp_path / "r.toml")
    commands = [
        ("init", table, "--out", recipe),
        ("data", recipe),
        *[("list", what) for what in ("models", "recipes", "datasets", "losses", "tasks", "cache")],
        ("measure", model, "--length", "8", "--threads", "1"),
        ("report", "no-such-study"),
    ]
    for command in commands:
        code, out, _ = say(*command, "--json")
        assert code == (command[0] == "report"), command
        assert isinstance(json.loads(out), dict), command
        assert out.count("\n") == 1, command


def test_an_error_is_an_object_with_kind_and_message(say):
    _, out, err = say("report", "no-such-study", "--json")
    assert json.loads(out)["error"].keys() == {"kind", "message"}
    assert err == ""


def test_texts_come_from_standard_input_with_or_without_a_dash(say, model):
    for dash in ([], ["-"]):
        code, out, _ = say("predict", model, *dash, stdin="el niño\nla niña\n".encode())
        assert code == 0
        assert [json.loads(line)["text"] for line in out.splitlines()] == ["el niño", "la niña"]


def test_an_option_is_a_text_whatever_it_looks_like(say, model):
    _, out, _ = say("predict", model, "--text", '{"text": "uno"}', "--text", "dos")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ['{"text": "uno"}', "dos"]


def test_standard_input_in_another_encoding_is_answered(say, model):
    """A byte that is not UTF-8 costs its own character, with a warning, and no text."""
    code, out, _ = say("predict", model, stdin="el ni\xf1o\nuno\n".encode("latin-1"))
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert first["text"].startswith("el ni")
    assert first["warning"]
    assert second["text"] == "uno"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "model", "texts.txt", "--text", "hola"), "not both"),
        (("run", "recipe.toml", "--teacher", "mine"), "--teacher goes with a data file"),
    ],
)
def test_options_that_disagree_are_refused(say, arguments, said):
    code, out, err = say(*arguments)
    assert (code, out) == (1, "")
    assert said in err


def test_notes_are_said_once_and_events_of_a_server_always():
    """And no number of either fills the memory."""

    def record(name, text):
        return logging.LogRecord(name, logging.INFO, "", 1, text, None, None)

    notes = cli._FirstTime()
    assert [notes.filter(record("destila.study.run", "a note")) for _ in range(3)] == [
        True,
        False,
        False,
    ]
    assert all(notes.filter(record("destila.serve.guard", "an event")) for _ in range(3))
    for i in range(5000):
        notes.filter(record("destila.serve.guard", f"event {i}"))
        notes.filter(record("destila.corpus", f"note {i}"))
    assert len(notes._written) <= 1000
