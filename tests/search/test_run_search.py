"""A search over a tiny study: every cell once, the best as a recipe, nothing done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from destila.errors import ConfigError
from destila.search.run_search import run_search
from destila.study.planning.recipe import read_recipe
from tests.fixtures.studies import run_recipe

GRID = """
[search]
space = { "train.lr" = [2e-3, 4e-3], "train.epochs" = [1, 2] }
"""
PAIR = """
[search]
space = { "train.lr" = [2e-3, 4e-3] }
"""
TPE = """
[search]
sampler = "tpe"
trials = 2
space = { "train.lr" = { low = 1e-4, high = 1e-2, log = true }, "distil.terms" = [[{use = "kl"}], [{use = "mse"}]] }
"""


def test_a_grid_is_tried_once_and_resumes(tiny, trained):
    """The teacher is trained once; a search that is done trains nothing, even without its store."""
    path = str(tiny("demo_intents", GRID))
    result = run_search(path)

    folder = Path(result["best"]).parent
    assert len(result["rows"]) == 4
    assert sorted(set(trained)) == ["student-distilled-s0", "teacher-teacher-s0"]
    assert trained.count("teacher-teacher-s0") == 1
    assert trained.count("student-distilled-s0") == 4

    # The best one is a recipe like any other, and the first row.
    best = read_recipe(result["best"])
    assert best.name == "tiny-best"
    assert best.search is None
    assert best.train.lr == result["rows"][0]["train.lr"]
    scores = [row["score"] for row in result["rows"]]
    assert scores == sorted(scores, reverse=True)

    # Only the best and the recipe as it was keep their models.
    kept = [p for p in folder.glob("trials/*/trial.json") if json.loads(p.read_text())["kept"]]
    assert 1 <= len(kept) <= 2
    assert len(list(folder.glob("trials/*/students"))) == len(kept)

    # The report, and the page with a line for each trial.
    text, page = (folder / "search.md").read_text(), (folder / "search.html").read_text()
    assert "Best: train.lr = " in text
    assert "as it was" in text
    assert "What mattered" in text
    assert page.count("<polyline") == 4

    (folder / "search.db").unlink()
    trained.clear()
    assert run_search(path)["rows"] == result["rows"]
    assert not trained

    # The study of the best one takes its models as they are; only what it compares with is new.
    run_recipe(result["best"], "baseline=false")
    assert set(trained) == {"student-finetuned-s0"}


def test_tpe_tries_tables_and_ranges(tiny):
    result = run_search(str(tiny("demo_intents", TPE)))
    rows = [row for row in result["rows"] if row["train.lr"] != "as it was"]
    assert rows
    assert all(1e-4 <= row["train.lr"] <= 1e-2 for row in rows)
    assert all(row["distil.terms"][0]["use"] in ("kl", "mse") for row in rows)


def test_a_trial_that_fails_leaves_the_others(tiny):
    """A window that no student of the recipe reads is told, and the search goes on."""
    more = '[search]\nspace = { "train.epochs" = [1], "max_length" = [48, 4096] }\n'
    result = run_search(str(tiny("demo_intents", more)))
    assert {row["max_length"] for row in result["rows"]} == {48, "as it was"}
    assert "reads at most" in (Path(result["best"]).parent / "search.md").read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", r"no \[search\] table"),
        ("[search]\nspace = { 'train.lr' = [] }", "no values"),
        ("[search]\nspace = { 'train.lr' = 1e-3 }", "no list of values"),
        ("[search]\nspace = { 'train.lr' = { low = 1.0, high = 2.0 } }", "a grid needs a list"),
        ("[search]\nspace = { 'train.rate' = [1e-3] }", "unknown key 'train.rate'"),
        ("[search]\nstudent = 'nadie'\nspace = { 'train.lr' = [1e-3] }", "none of student"),
        (
            "[search]\nsampler = 'tpe'\nspace = { 'train.lr' = { low = 2.0, high = 1.0 } }",
            "above high",
        ),
    ],
)
def test_a_wrong_search_is_refused_before_training(tiny, trained, more, words):
    with pytest.raises(ConfigError, match=words):
        run_search(str(tiny("demo_intents", more)))
    assert not trained


def test_a_store_that_cannot_be_opened_is_named(tiny):
    path = str(tiny("demo_intents", GRID))
    with pytest.raises(ConfigError, match="check --storage"):
        run_search(path, storage="nosuchstore://here")


@pytest.mark.slow
def test_workers_share_the_trials(tiny):
    """Two processes of this machine; the table is that of one."""
    path = tiny("demo_intents", PAIR)
    alone = run_search(str(path))
    shutil.rmtree(path.parent / "runs")
    together = run_search(str(path), workers=2)
    plain = [{k: v for k, v in row.items() if k != "minutes"} for row in alone["rows"]]
    assert plain == [{k: v for k, v in row.items() if k != "minutes"} for row in together["rows"]]
