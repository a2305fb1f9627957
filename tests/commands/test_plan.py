"""`destila plan`: a row for each run of a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from destila.cli import main
from destila.commands import plan
from destila.errors import ConfigError

RECIPE = """
name = "wee"
tokenizer = { vocab_size = 300 }
corpora = [{ files = ["absent.txt"] }]
[model]
shape = { kind = "albert", layers = 2, hidden = 64, heads = 2, ffn = 128, embedding = 32 }
[train]
stages = [{ steps = 100, length = 32, rows = 8 }]
[[runs]]
name = "fast"
[[runs]]
name = "slow"
set = ["train.lr=1e-4"]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "wee.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def test_every_run_gets_a_row(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", recipe, "--gpus", "2x2", "--gpu", "a100", "--text-gb", "0.001", "--json"]
    monkeypatch.setattr("sys.argv", ["destila", *words])
    with pytest.raises(SystemExit):
        main()
    result = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in result["rows"]] == ["fast", "slow"]
    assert {row["steps"] for row in result["rows"]} == {100}
    assert result["rows"][0]["passes"] == pytest.approx(0.1)
    assert "4 x a100" in result["lines"][0]


def test_a_measured_step_says_what_was_planned(recipe: str) -> None:
    result = plan.run(plan.Config(recipe=recipe, measure=True, rows=2, set=("runs=[]",)))
    (row,) = result["rows"]
    assert row["hours"] >= 0
    assert "tokens a second" in result["lines"][0]
    assert "planned" in result["lines"][0]


def test_an_unknown_gpu_is_named(recipe: str) -> None:
    with pytest.raises(ConfigError, match="h1000 is not known"):
        plan.run(plan.Config(recipe=recipe, gpu="h1000"))
