"""The README's commands, run one after the other as a new user would, on data and models that fit in seconds."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import zstandard

from destila import cli, config
from destila.models import hf, store
from destila.pretraining import pretrain_recipe
from destila.study.planning.recipe import Recipe, read_recipe
from tests.rules.test_readme import FENCE, ROOT, cut_at_pipe

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^\| `(destila [^`]+)` \|", README, re.MULTILINE)
LINES = [
    line.split("#")[0].strip()
    for line in [*"\n".join(FENCE.findall(README)).splitlines(), *CELLS]
    if line.startswith("destila ") and "--dry-run" not in line and " fetch " not in line
]
"""Dry runs of published tables take minutes and `fetch` needs a network: tests/matrix runs a small
table, tests/fetching a server of its own."""
SMALL_DATA = {"train": 80, "dev": 20, "test": 20, "unlabelled": 10}
SMALL_SHAPE = {"kind": "bert", "layers": 1, "hidden": 16, "heads": 2}


def small(recipe: Recipe) -> Recipe:
    """A demo recipe of the same form that runs in a second."""
    plain = recipe.model_dump(exclude_none=True)
    plain["data"] |= SMALL_DATA
    for model in (*plain["teachers"], *plain["students"]):
        model |= {"shape": SMALL_SHAPE, "train": {"epochs": 1}}
        model["tokenizer"]["vocab_size"] = 400
    plain["train"]["epochs"] = plain["distil"]["train"]["epochs"] = 1
    plain["measure"]["texts"] = 2
    return config.build_config(Recipe, plain)


def small_pretraining(path: Path) -> str:
    """A recipe of a pre-training of the same form, over corpus.txt.zst, that runs in a second."""
    plain = pretrain_recipe.read_pretrain_recipe(str(path)).model_dump(exclude_none=True)
    plain["corpora"] = [{"files": ["corpus.txt.zst"], "exact": False, "near": {"use": False}}]
    plain["tokenizer"] |= {"vocab_size": 300}
    plain["model"] = {
        "shape": {"kind": "albert", "layers": 1, "hidden": 16, "heads": 2, "embedding": 8}
    }
    plain["feed"] = {"stretch": 64, "block": 512, "heldout": 0.1}
    plain["train"] |= {"stages": [{"steps": 2, "length": 32, "rows": 4}], "horizon": 4}
    plain["evaluation"] = {
        "tokens": 300,
        "probe": {"pos": "", "ner": "demo_tags", "train": 10, "dev": 5},
    }
    return config.to_toml(config.build_config(pretrain_recipe.PretrainRecipe, plain))


@pytest.fixture
def place(tmp_path, monkeypatch, lines, bpe) -> Path:
    """A folder with everything that the README's commands name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})  # other tests run beside it
    monkeypatch.setattr(
        "destila.study.testing._peak_memory", lambda *_: 1
    )  # a process per model: see test_measure.py
    for folder in ("demo", "start"):
        (tmp_path / "recipes" / folder).mkdir(parents=True)
    for path in sorted((ROOT / "recipes" / "demo").glob("*.toml")):
        small_text = config.to_toml(small(read_recipe(str(path))))
        (tmp_path / "recipes" / "demo" / path.name).write_text(small_text, encoding="utf-8")
    shutil.copytree(ROOT / "recipes" / "published", tmp_path / "recipes" / "published")
    pretraining = Path("recipes") / "start" / "albeto-tiny.toml"
    (tmp_path / pretraining).write_text(small_pretraining(ROOT / pretraining), encoding="utf-8")
    # Enough rows that no cross-validation is asked for.
    rows = [f'"{line} {i}",{"sí" if i % 2 else "no"}' for i in range(10) for line in lines]
    for name in ("data.csv", "reviews.csv", "new.csv"):
        Path(name).write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    Path("new.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    documents = "\n\n".join(["\n".join(lines)] * 20)
    Path("corpus.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(documents.encode()))
    answers = {
        **SMALL_SHAPE,
        "layers": 2,
        "init_range": 0.5,
    }  # weights so large that no two texts get the same answer
    teacher = hf.load(answers, tokenizer=bpe, task="classify", labels=("no", "sí"))
    store.save_model(teacher.model, bpe, "my-teacher")
    return tmp_path


def destila(arguments: list[str], monkeypatch) -> None:
    """One command in this process; standard input comes from new.txt."""
    monkeypatch.setattr(sys, "argv", ["destila", *arguments])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("new.txt").read_bytes())))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code, " ".join(arguments)


def test_the_commands_of_the_readme_run(place, monkeypatch, capsys) -> None:
    assert len(LINES) > 8
    for line in LINES:
        words = cut_at_pipe(shlex.split(line)[1:])
        if "NAME" in line:
            first = min(p.name for p in (place / "runs" / "reviews" / "students").iterdir())
            words = [word.replace("NAME", first) for word in words]
        destila(words, monkeypatch)
        out = capsys.readouterr().out
        assert out.strip(), line
        if words[0] == "predict" and "--out" not in words:
            asked = words.count("--text") or len(
                place.joinpath("new.txt").read_text("utf-8").splitlines()
            )
            assert out.count("\n") == asked
    shutil.rmtree(place / "cache")
