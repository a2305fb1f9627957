"""An exported model predicts where torch and everything that only training needs cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.inference.conftest import asked, exported  # noqa: F401

BLOCK = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "accelerate", "safetensors", "onnx", "huggingface_hub", "zstandard"}:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

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
