"""Several processes pre-train like one, with whole weights or shared-out ones, and go on when one of them dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

# epsilon above the noise: without it the optimiser turns a gradient of rounding errors into a full
# step
OPTIONS = {
    "stages": [{"steps": 50, "length": 10, "rows": 9}],
    "lr": 0.02,
    "eps": 1e-4,
    "precision": "fp32",
    "evaluate_every": 20,
    "save_minutes": 1000,
}

EVALUATE = """
import json, os, sys
from pathlib import Path

import numpy as np

given = json.loads(sys.argv[1])
sys.path.insert(0, given["toy"])
import pretoy
from destila.pretraining import heldout
from destila.tokenizer.word_marks import WordMarks
from destila.training.processes import processes
from destila.training.sharding import shard_model

among = processes()
net = pretoy.model(dropout=0.0, seed=3)
if given["parallel"] == "fsdp" and among.num_processes > 1:
    shard_model(net, among.device, among.num_processes)
size, no = pretoy.VOCAB, np.zeros(pretoy.VOCAB, bool)
special = np.arange(size) < 3
marks = WordMarks(~special, no, no, special, np.arange(3, size), pretoy.MASK, 3)
batches = [pretoy.batch(range(9 * k, 9 * k + 9), 10, 0.3) for k in range(5)]

calls, count = [], heldout._count
heldout._count = lambda *arguments: calls.append(1) or count(*arguments)
scores = heldout.evaluate_heldout(net, batches, marks, np.ones(size, np.int64), shared=True)
if among.is_main_process:
    Path(given["out"]).write_text(json.dumps({**scores, "counted": len(calls)}))
if among.num_processes > 1:
    among.wait_for_everyone()
    among.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a busy machine's Python at its end; all is written
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train(pretoy_path, given, *, world: int = 1, restarts: int = 0) -> subprocess.CompletedProcess:
    port = f"--master_port={free_port()}"
    launcher = [
        "-m",
        "torch.distributed.run",
        f"--nproc_per_node={world}",
        f"--max-restarts={restarts}",
        port,
    ]
    command = [
        sys.executable,
        *(launcher if world > 1 else []),
        str(pretoy_path),
        json.dumps(given),
    ]
    without = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("ACCELERATE_", "LOCAL_", "WORLD_", "RANK"))
    }
    env = without | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def result(out) -> tuple[dict, list]:
    return load_file(out), json.loads(out.with_suffix(".json").read_text())


def furthest(one, two) -> float:
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def alone(pretoy_path, tmp_path_factory):
    """What one process makes of it, by optimiser."""
    made = {}

    def of(optimizer: str):
        if optimizer not in made:
            folder = tmp_path_factory.mktemp("alone")
            out, options = folder / "weights", OPTIONS | {"optimizer": optimizer}
            train(
                pretoy_path,
                {"out": str(out), "folder": str(folder / "d"), "dropout": 0.0, "options": options},
            )
            made[optimizer] = result(out)
        return made[optimizer]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_pretrain_like_one(pretoy_path, tmp_path, alone, parallel, optimizer):
    """Nine rows, so that one process has one more."""
    out = tmp_path / "weights"
    options = OPTIONS | {"optimizer": optimizer, "parallel": parallel}
    train(
        pretoy_path,
        {"out": str(out), "folder": str(tmp_path / "d"), "dropout": 0.0, "options": options},
        world=2,
    )
    (one, log), (two, parallel_log) = alone(optimizer), result(out)
    assert len(log) == len(parallel_log) == 50
    for a, b in zip(log, parallel_log, strict=True):
        assert a["tokens"] == b["tokens"]
        assert [b[k] for k in ("loss", "hard", "order")] == pytest.approx(
            [a[k] for k in ("loss", "hard", "order")], rel=1e-5
        )
    assert furthest(one, two) < 1e-5
    saved = load_file(tmp_path / "d" / "00000050.safetensors")
    assert furthest(two, {name: saved[f"model.{name}"] for name in two}) == 0


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_dead_worker_is_started_again(pretoy_path, tmp_path, alone, parallel):
    """A worker that dies is started again and the weights are the same."""
    out = tmp_path / "weights"
    options = OPTIONS | {"optimizer": "adamw", "parallel": parallel}
    given = {
        "out": str(out),
        "folder": str(tmp_path / "d"),
        "dropout": 0.0,
        "options": options,
        "die": 33,
    }
    done = train(pretoy_path, given, world=2, restarts=1)
    (one, _), (two, log) = alone("adamw"), result(out)
    assert "exitcode: -9" in done.stderr or "SIGKILL" in done.stderr
    assert [each["step"] for each in log] == list(range(21, 51)), (
        "it should have gone on from the checkpoint of step 20"
    )
    assert furthest(one, two) < 1e-5


@pytest.mark.slow
def test_shallow_stage_on_two_processes(pretoy_path, tmp_path):
    """A shallow stage of a model with layers of its own runs on two processes."""
    stages = [
        {"steps": 5, "length": 10, "rows": 9, "layers": 1},
        {"steps": 5, "length": 10, "rows": 1},
    ]
    options = OPTIONS | {"optimizer": "adamw", "stages": stages}
    found = []
    for world in (1, 2):  # in the second stage one process has no row
        out = tmp_path / f"weights{world}"
        given = {
            "out": str(out),
            "folder": str(tmp_path / f"d{world}"),
            "dropout": 0.0,
            "shared": False,
            "options": options,
        }
        train(pretoy_path, given, world=world)
        found.append(result(out)[0])
    assert furthest(*found) < 1e-5


def evaluate(tmp_path, pretoy_path, parallel: str, *, world: int) -> dict[str, float]:
    """Return the scores of a toy on five batches of held-out text."""
    script, out = tmp_path / "evaluate.py", tmp_path / f"{parallel}-{world}.json"
    script.write_text(EVALUATE, encoding="utf-8")
    given = {"toy": str(pretoy_path.parent), "out": str(out), "parallel": parallel}
    train(script, given, world=world)
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_evaluations_are_shared_to_the_same_bits(pretoy_path, tmp_path, parallel):
    """Of five batches each process scores two or three; with weights shared out both call thrice."""
    alone = evaluate(tmp_path, pretoy_path, parallel, world=1)
    shared = evaluate(tmp_path, pretoy_path, parallel, world=2)
    assert shared.pop("counted") == 3
    assert alone.pop("counted") == 5
    assert shared == alone
    assert {"mlm_loss", "order_gain", "sop_loss"} <= set(alone)
