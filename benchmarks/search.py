"""A synthetic search of 200 trials: what is lost or done twice under kills, and seconds of overhead per trial.

Two parts, each with a store in SQLite:

    kills     some processes share a grid whose trials only wait; every few seconds one of them is
              killed (kill -9) and another one started. Each process writes when a trial begins and
              ends, so that repetitions are seen whatever the store says.
    overhead  one process, then all, run trials of TPE that do nothing: the time of a trial is what
              the search itself takes, for the whole study and for its last tenth.

    python benchmarks/search.py [--trials 200] [--workers 3] [--kills 12] [--seconds 0.3]
    [--only kills|overhead]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from destila.measuring import machine
from destila.search import trials as shared
from destila.search.space import read_space
from destila.study.planning.search_options import SearchOptions

BEAT = 1
"""Seconds between signs of life, so that a dead process is noticed within six."""

MINUTE = 60


def options_of(part: str, trials: int) -> SearchOptions:
    """A grid of waiting trials, or draws of TPE."""
    if part == "kills":
        return SearchOptions(space={"a": list(range(trials))})
    space = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 1e-5, "high": 1e-3, "log": True}}
    return SearchOptions(space=space, sampler="tpe", trials=trials, prune=False)


def work(part: str, folder: Path, trials: int, seconds: float) -> None:
    """Take part until no trial is left; a line in the log for every beginning and every end."""
    shared._HEARTBEAT = BEAT
    options, log = options_of(part, trials), folder / "log"

    def tell(word: str, values: Any) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{word} {values['a']!r} {time.time()}\n")

    def train(values: Any, report: Any) -> float:  # noqa: ARG001 - as every objective
        tell("begins", values)
        time.sleep(seconds)
        tell("ends", values)
        return float(values["a"])

    objective = shared.TrialObjective(name=lambda values: repr(values["a"]), train=train)
    url = f"sqlite:///{folder / 'trials.db'}"
    store = shared.open_trials(url, part, options, better="higher")
    shared.run_trials(store, read_space(options, part), options, objective)
    print(len({trial.user_attrs[shared.NAME] for trial in shared.finished_trials(store)}))


def start(part: str, folder: Path, trials: int, seconds: float) -> subprocess.Popen[str]:
    """Start a process that takes part."""
    words = ["--here", part, str(folder), str(trials), str(seconds)]
    return subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)


def counts(folder: Path, word: str) -> Counter[str]:
    """How often each trial has begun or ended."""
    log = folder / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(word))


def killed(trials: int, workers: int, kills: int, seconds: float) -> dict[str, Any]:
    """Run a grid under kills, spread evenly over its trials."""
    chosen = random.Random(0)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running = [start("kills", folder, trials, seconds) for _ in range(workers)]
        done = 0
        while done < kills and any(each.poll() is None for each in running):
            if len(counts(folder, "ends")) < (done + 1) * trials // (kills + 1):
                time.sleep(0.05)
                continue
            place = chosen.randrange(workers)
            running[place].send_signal(signal.SIGKILL)
            running[place].communicate()
            running[place] = start("kills", folder, trials, seconds)
            done += 1
        known = {each.communicate()[0].strip() for each in running}
        begun, ended = counts(folder, "begins"), counts(folder, "ends")
    return {
        "trials": trials,
        "workers": workers,
        "kills": done,
        "finished_by_the_store": sorted(known),
        "lost": trials - len(ended),
        # killed between the end of its work and the store's word for it
        "ended_twice": sum(ended.values()) - len(ended),
        "begun_again_behind_a_kill": sum(begun.values()) - trials,
        "seconds": round(time.perf_counter() - began, 1),
    }


def overhead(trials: int, workers: int) -> dict[str, Any]:
    """Run trials that do nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running = [start("overhead", folder, trials, 0.0) for _ in range(workers)]
        for each in running:
            each.communicate()
        lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    times = [float(line.split()[2]) for line in lines if line.startswith("begins")]
    tenth = trials // 10
    mean = workers * (times[-1] - times[0]) / (len(times) - 1)
    last = workers * (times[-1] - times[-1 - tenth]) / tenth
    return {
        "trials": len(times),
        "workers": workers,
        "seconds_per_trial": round(mean, 4),
        "seconds_per_trial_of_the_last_tenth": round(last, 4),
        "share_of_a_minute": round(mean / MINUTE, 5),
    }


def main() -> None:
    """Print one JSON object."""
    if sys.argv[1:2] == ["--here"]:
        part, folder, trials, seconds = sys.argv[2:]
        work(part, Path(folder), int(trials), float(seconds))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.3, help="that a trial of the grid waits")
    parser.add_argument("--only", choices=["kills", "overhead"])
    given = parser.parse_args()
    result: dict[str, Any] = {}
    if given.only != "overhead":
        result["kills"] = killed(given.trials, given.workers, given.kills, given.seconds)
    if given.only != "kills":
        result["overhead"] = [overhead(given.trials, n) for n in (1, 2)]
    conditions = {"cpu": machine.cpu(), "versions": machine.versions()}
    print(json.dumps(result | conditions, indent=1))


if __name__ == "__main__":
    main()
