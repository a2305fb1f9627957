"""An exported model predicts where torch and everything that only training needs cannot be imported."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from destila import plugins
from destila.errors import EXTRAS
from tests.inference.conftest import asked, exported  # noqa: F401

BLOCK = f"""
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(EXTRAS)}:
            raise ModuleNotFoundError(name + " is not installed here", name=name)

sys.meta_path.insert(0, Blocked())
"""
PYTHON = """
import json, sys, destila
model = destila.load(sys.argv[1])
for item in model.predict(json.load(open(sys.argv[2]))):
    print(json.dumps(item.to_dict(), ensure_ascii=False))
"""
CLI = """
import sys
sys.argv = ["destila", "predict", *sys.argv[1:]]
from destila.cli import main
main()
"""


EVERY = """
import contextlib, io, json, sys
from destila.cli import main
answers = {}
for name, arguments in json.load(open(sys.argv[1])):
    sys.argv = ["destila", name, *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
    answers[" ".join([name, *arguments])] = [code, out.getvalue(), err.getvalue()]
print(json.dumps(answers))
"""
LIGHT = """
import sys, destila
destila.load(sys.argv[1]).predict("hola")
print(*(name for name in ("pydantic", "typer", "rich", "destila.config") if name in sys.modules))
"""


def said(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("task", ["classify", "pair", "tag", "span"])
def test_every_task_predicts(exported, asked, tmp_path, task):  # noqa: F811
    folder, texts = exported(task), asked(task)[:5]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    rows = [t if isinstance(t, dict) else {"text": t} for t in texts]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = said(PYTHON, str(folder), str(tmp_path / "texts.json"))
    assert loaded.returncode == 0, loaded.stderr
    assert len(loaded.stdout.splitlines()) == 5
    assert said(CLI, str(folder), str(tmp_path / "texts.jsonl")).stdout == loaded.stdout
    done = said(
        CLI, str(folder), str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out.jsonl")
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_text() == loaded.stdout


def test_the_block_blocks_and_weights_alone_ask_for_torch(exported):  # noqa: F811
    folder = exported("classify").parent / "torch"
    assert "torch is not installed here" in said("import torch").stderr
    failed = said(CLI, str(folder), "--text", "hola")
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "error: this needs the package 'torch': pip install 'destila[train]'"
    ]


def test_every_command_works_or_names_its_extra(exported, tmp_path):  # noqa: F811
    folder = str(exported("classify"))
    (tmp_path / "data.csv").write_text("text,label\nuno,a\ndos,b\n", encoding="utf-8")
    (tmp_path / "texts.txt").write_text("uno\ndos\n", encoding="utf-8")
    texts, recipe = str(tmp_path / "texts.txt"), "recipes/demo/demo-intents.toml"
    study = "results/topics-news.jsonl"
    works = {
        "list": [["models"], ["recipes"], ["tasks"], ["losses"], ["datasets"], ["cache"]],
        "predict": [[folder, "--text", "hola"]],
        "measure": [
            [folder, "--repeats", "1"],
            [folder, folder, "--texts", texts, "--length", "8"],
        ],
        "package": [[folder, "--name", "es_reviews", "--out", str(tmp_path / "dist")]],
        "report": [[study, "--out", str(tmp_path / "r.md")]],
        "pick": [[study, "--no-copy"]],
    }
    needs = {
        "bundle": [str(tmp_path), "--out", str(tmp_path / "bundle")],
        "choose": [recipe],
        "corpus": [
            str(tmp_path / "a.parquet"),
            "--tokenizer",
            folder,
            "--out",
            str(tmp_path / "c"),
        ],
        "data": [recipe],
        "distil": [recipe],
        "evaluate": [recipe, "--model", folder],
        "export": [folder],
        "finetune": [recipe],
        "init": [str(tmp_path / "data.csv"), "--out", str(tmp_path / "r.toml")],
        "plan": ["recipes/start/albeto-tiny.toml"],
        "presets": [],
        "pretrain": ["recipes/start/albeto-tiny.toml"],
        "probe": [folder],
        "prune": [folder, "--texts", texts, "--layers", "1", "--out", str(tmp_path / "start")],
        "run": [recipe],
        "search": [recipe],
        "serve": [folder],
        "tokenizer": [str(tmp_path / "b.parquet"), "--out", str(tmp_path / "t")],
        "trim": [folder, "--texts", texts, "--out", str(tmp_path / "small")],
        "verify": [str(tmp_path)],
    }
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    names = {*plugins.names("commands")}
    assert {*works, *needs} == names - {"fetch"}  # from the network alone
    calls = [(name, one) for name, several in works.items() for one in several]
    calls += [(name, [*one, "--json"]) for name, one in calls]
    calls += [(name, [*one, *more]) for name, one in needs.items() for more in ([], ["--json"])]
    calls += [(name, ["--help"]) for name in sorted(names)]
    (tmp_path / "asked.json").write_text(json.dumps(calls))

    done = said(EVERY, str(tmp_path / "asked.json"))
    assert done.returncode == 0, done.stderr
    for command, (code, out, err) in json.loads(done.stdout).items():
        assert "Traceback" not in out + err, command
        if command.split()[0] in works or "--help" in command:
            assert code == 0, (command, err)
        elif code:
            line = json.loads(out)["error"]["message"] if "--json" in command else err
            assert re.search(r"needs the package '\w+': pip install 'destila\[\w+\]'", line), (
                command
            )
            assert len(line.strip().splitlines()) == 1, (command, line)


def test_a_first_prediction_waits_for_no_library_that_reads_recipes_or_prints(exported):  # noqa: F811
    loaded = said(LIGHT, str(exported("tag")))
    assert (loaded.stdout.strip(), loaded.stderr) == ("", "")


def test_packed_texts_name_the_extra_that_reads_them(exported, tmp_path):  # noqa: F811
    (tmp_path / "texts.txt.zst").write_bytes(b"(\xb5/\xfd")
    failed = said(CLI, str(exported("tag")), str(tmp_path / "texts.txt.zst"))
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "error: this needs the package 'zstandard': pip install 'destila[train]'"
    ]
