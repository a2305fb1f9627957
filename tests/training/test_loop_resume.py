"""Kill -9 at a random moment, start the same command, and nobody can tell from the weights."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

STEPS = 60  # 4 epochs of 15; a state is saved with every evaluation, after 5 steps each
OPTIONS = {"epochs": 4, "batch_size": 4, "lr": 0.01, "evaluations": 3}


def start(toy_path, given, **streams) -> subprocess.Popen:
    command = [sys.executable, str(toy_path), json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **streams)


def finish(toy_path, given) -> list[int]:
    """Runs to the end; the numbers of the steps that were done."""
    with start(toy_path, given, stdin=subprocess.DEVNULL) as process:
        done = [int(line) for line in process.stdout]
    assert process.returncode == 0
    return done


def kill(toy_path, given, after: int) -> int:
    """Runs until `after` steps are done and kills the process somewhere in what follows; the steps that were done."""
    with start(toy_path, given, stdin=subprocess.PIPE) as process:
        done = int(process.stdout.readline())
        while done < after:
            process.stdin.write("\n")
            process.stdin.flush()
            done = int(process.stdout.readline())
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(random.uniform(0, 0.02))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return done


INNER = [
    {"use": "hidden"},
    {"use": "kl"},
    {"use": "relation", "weight": 0.1},
]  # the first one learns maps of its own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "kills", "terms"),
    [("fp32", 2, [{"use": "hard"}]), ("bf16", 1, [{"use": "hard"}]), ("fp32", 2, INNER)],
)
def test_a_killed_run_ends_bitwise_like_an_undisturbed_one(
    toy_path, tmp_path, precision, kills, terms
):
    """A run that is killed and started again ends bitwise like an undisturbed one."""
    given = {
        "task": "tag",
        "options": OPTIONS | {"precision": precision},
        "dropout": 0.2,
        "terms": terms,
    }
    calm = given | {"out": str(tmp_path / "calm"), "state": str(tmp_path / "calm.state")}
    assert finish(toy_path, calm) == list(range(1, STEPS + 1))

    rough = given | {"out": str(tmp_path / "rough"), "state": str(tmp_path / "rough.state")}
    killed: list[int] = []
    for left in range(kills, 0, -1):
        reached = max([5, *killed])
        killed.append(kill(toy_path, rough, random.randint(reached + 1, STEPS - 5 * left)))
    last = finish(toy_path, rough)
    assert (last[0] > 5, last[-1]) == (True, STEPS), (
        f"the last start should have resumed; killed after {killed}"
    )

    for name in ("", ".best"):
        one, two = load_file(f"{tmp_path}/calm{name}"), load_file(f"{tmp_path}/rough{name}")
        assert one.keys() == two.keys()
        assert [k for k in one if not one[k].equal(two[k])] == [], f"killed after steps {killed}"
