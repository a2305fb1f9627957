"""Kill -9 at random moments, start the same command, and nobody can tell from the weights."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

STEPS = 120
OPTIONS = {
    "stages": [{"steps": 80, "length": 10, "rows": 8}, {"steps": 40, "length": 14, "rows": 8}],
    "optimizer": "adamw",
    "lr": 0.02,
    "evaluate_every": 20,
    "save_minutes": 0.0,  # at every step, so that every start goes on from somewhere however fast the machine is
}
WILD = {  # a rate at which the loss leaves its course
    "lr": 2.0,
    "schedule": "constant",
    "warmup": 0.5,
    "clip": 1e6,
    "recovery": {"spike": 0.4, "deviations": 0.0, "patience": 5, "factor": 0.2, "returns": 9},
}


def start(pretoy_path, given, **streams) -> subprocess.Popen:
    command = [sys.executable, str(pretoy_path), json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **streams)


def finish(pretoy_path, given) -> list[int]:
    """Runs to the end; the numbers of the steps that were done."""
    with start(pretoy_path, given) as process:
        done = [int(line) for line in process.stdout]
    assert process.returncode == 0
    return done


def kill(pretoy_path, given, lines: int, wait: float) -> int:
    """Kills the process a moment after it has done `lines` steps; the number of the last one that was read."""
    with start(pretoy_path, given | {"pause": True}, stdin=subprocess.PIPE) as process:
        for _ in range(lines):
            last = int(process.stdout.readline())
            process.stdin.write("\n")
            process.stdin.flush()
        time.sleep(wait)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "changes"),
    [(20, {"precision": "fp32"}), (2, {"precision": "bf16"}), (4, {"precision": "fp32"} | WILD)],
    ids=["fp32", "bf16", "diverging"],
)
def test_killed_run_ends_bitwise_like_an_undisturbed_one(pretoy_path, tmp_path, kills, changes):
    """A run that is killed at random moments ends bitwise like an undisturbed one."""
    given = {"options": OPTIONS | changes, "dropout": 0.2}
    calm = given | {"out": str(tmp_path / "calm"), "folder": str(tmp_path / "calm.d")}
    done = finish(pretoy_path, calm)
    assert done[-1] == STEPS
    assert (len(done) > STEPS) == ("recovery" in changes), "the wild run returns, the others do not"

    rough = given | {"out": str(tmp_path / "rough"), "folder": str(tmp_path / "rough.d")}
    drawn = random.Random(kills)
    most = max(2, len(done) // (kills + 1))
    killed = [
        kill(pretoy_path, rough, drawn.randint(1, most), drawn.uniform(0, 0.05))
        for _ in range(kills)
    ]
    rest = finish(pretoy_path, rough)
    assert rest[0] > 1, "the last start should have resumed"
    assert rest[-1] == STEPS

    one, two = load_file(tmp_path / "calm"), load_file(tmp_path / "rough")
    assert one.keys() == two.keys()
    assert [name for name in one if not one[name].equal(two[name])] == [], (
        f"killed after steps {killed}"
    )
