"""Trials that processes share: none is lost by a kill, none is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from destila.search import trials as shared
from destila.search.space import read_space
from destila.search.trials import TrialObjective, finished_trials, open_trials, run_trials
from destila.study.planning.search_options import SearchOptions

WORKER = """
import sys, time
from pathlib import Path
from destila.search import trials as shared
shared._HEARTBEAT = 1
from destila.search.space import read_space
from destila.study.planning.search_options import SearchOptions
url, log, cells, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
options = SearchOptions(space={"a": list(range(cells // 10)), "b": list(range(10))})

def tell(word, values):
    with log.open("a") as file:
        file.write(f"{word} {values['a']} {values['b']}\\n")

def train(values, report):
    tell("begins", values)
    time.sleep(seconds)
    tell("ends", values)
    return values["a"] + values["b"] / 10

objective = shared.TrialObjective(name=lambda v: f"{v['a']}-{v['b']}", train=train)
trials = shared.open_trials(url, "toy", options, better="higher")
shared.run_trials(trials, read_space(options, "toy"), options, objective)
print(len(shared.finished_trials(trials)), trials.best_value)
"""


def start(tmp_path: Path, cells: int, seconds: float) -> subprocess.Popen[str]:
    """Start a process that takes part."""
    url, log = f"sqlite:///{tmp_path / 'toy.db'}", tmp_path / "log"
    command = [sys.executable, "-c", WORKER, url, str(log), str(cells), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def lines(tmp_path: Path, word: str) -> Counter[str]:
    """Count the cells of the log's lines with a word."""
    text = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    return Counter(line.partition(" ")[2] for line in text.splitlines() if line.startswith(word))


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [(20, 0.02), pytest.param(60, 0.05, marks=pytest.mark.slow)],
    ids=["twenty", "sixty"],
)
def test_two_processes_and_a_kill_lose_and_repeat_nothing(tmp_path, cells, seconds):
    """One of two is killed in the middle; only the trial that it was at begins twice."""
    killed, other = start(tmp_path, cells, seconds), start(tmp_path, cells, seconds)
    while sum(lines(tmp_path, "ends").values()) < cells // 4:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    answer, _ = other.communicate(timeout=300)
    assert other.returncode == 0
    count, best = answer.split()
    assert int(count) == cells
    assert float(best) == cells // 10 - 1 + 0.9

    begun, ended = lines(tmp_path, "begins"), lines(tmp_path, "ends")
    assert len(ended) == cells
    assert set(ended.values()) == {1} or sum(ended.values()) == cells + 1  # killed after its end
    assert sum(begun.values()) <= cells + 1


def test_no_more_trials_than_were_wanted(tmp_path):
    options = SearchOptions(
        space={"a": {"low": 0.0, "high": 1.0}}, sampler="tpe", trials=6, prune=False
    )
    seen: list[float] = []

    def train(values, report):
        seen.append(values["a"])
        return values["a"]

    objective = TrialObjective(name=lambda values: repr(values), train=train)
    for _ in range(2):  # the second time nothing is left
        trials = open_trials(f"sqlite:///{tmp_path / 't.db'}", "x", options, better="higher")
        run_trials(trials, read_space(options, "x"), options, objective)
    assert len(seen) == len(finished_trials(trials)) == 6


def test_equal_names_are_done_once(tmp_path):
    """Two combinations that fill the recipe alike are one trial."""
    options = SearchOptions(space={"a": [1, 2, 3, 4]})
    seen: list[int] = []

    def train(values, report):
        seen.append(values["a"])
        return 0.0

    objective = TrialObjective(name=lambda values: str(values["a"] % 2), train=train)
    trials = open_trials(f"sqlite:///{tmp_path / 't.db'}", "x", options, better="lower")
    run_trials(trials, read_space(options, "x"), options, objective)
    assert len(seen) == 2


def test_a_trial_behind_the_median_is_stopped(tmp_path):
    options = SearchOptions(space={"a": {"low": 0.0, "high": 1.0}}, sampler="tpe", trials=30)
    ended: list[float] = []

    def train(values, report):
        for step in range(1, 5):
            report(values["a"] * step)
        ended.append(values["a"])
        return values["a"]

    objective = TrialObjective(name=lambda values: repr(values), train=train)
    trials = open_trials(f"sqlite:///{tmp_path / 't.db'}", "x", options, better="higher")
    run_trials(trials, read_space(options, "x"), options, objective)
    assert len(finished_trials(trials)) == 30
    assert len(ended) < 30
    assert shared.NAME in finished_trials(trials)[0].user_attrs
