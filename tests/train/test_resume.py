"""Kill -9 at a random moment, start the same command, and nobody can tell from the weights."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys

import pytest
from safetensors.torch import load_file

KILLS = 2


def start(toy_path, given) -> subprocess.Popen:
    command = [sys.executable, str(toy_path), json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(toy_path, given) -> list[int]:
    """Runs to the end; the numbers of the steps that were done."""
    with start(toy_path, given) as process:
        done = [int(line) for line in process.stdout]
    assert process.returncode == 0
    return done


@pytest.mark.slow
@pytest.mark.parametrize(("task", "precision"), [("tag", "fp32"), ("classify", "bf16")])
def test_a_run_that_is_killed_and_started_again_ends_bitwise_like_an_undisturbed_one(
    toy_path, tmp_path, task, precision
):
    options = {"epochs": 4, "batch_size": 4, "lr": 0.01, "precision": precision, "save_minutes": 0.0005}
    given = {"task": task, "options": options, "dropout": 0.2, "pause": 0.003}
    calm = given | {"out": str(tmp_path / "calm"), "state": str(tmp_path / "calm.state"), "pause": 0.0}
    assert finish(toy_path, calm) == list(range(1, 61))

    rough = given | {"out": str(tmp_path / "rough"), "state": str(tmp_path / "rough.state")}
    chance = random.Random()
    killed, reached = [], 0
    for _ in range(KILLS):
        target = min(reached + chance.randint(3, 25), 57)
        with start(toy_path, rough) as process:
            for line in process.stdout:
                reached = max(reached, int(line))
                if reached >= target:
                    process.kill()
                    break
            killed.append(reached)
        assert process.returncode == -signal.SIGKILL, killed
    assert not (tmp_path / "rough").exists()
    last = finish(toy_path, rough)
    assert last[-1] == 60
    assert last[0] > 1, "the last start should have resumed"

    for name in ("", ".best"):
        one, two = load_file(f"{tmp_path}/calm{name}"), load_file(f"{tmp_path}/rough{name}")
        assert one.keys() == two.keys()
        assert [k for k in one if not one[k].equal(two[k])] == [], f"killed after steps {killed}"
