"""Two processes give the result of one for the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from destila.errors import TrainingError
from destila.training.processes import processes

TERMS = [{"use": "hard", "weight": 0.5}, {"use": "kl", "temperature": 2.0}]
# epsilon above the noise: without it AdamW turns a gradient of rounding errors into a full step
OPTIONS = {
    "epochs": 2,
    "batch_size": 6,
    "accumulation": 2,
    "lr": 0.01,
    "eps": 1e-4,
    "precision": "fp32",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train(toy_path, given, *, world: int) -> None:
    launcher = [
        "-m",
        "torch.distributed.run",
        f"--nproc_per_node={world}",
        f"--master_port={free_port()}",
    ]
    command = [sys.executable, *(launcher if world > 1 else []), str(toy_path)]
    command.append(given if isinstance(given, str) else json.dumps(given))
    without = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("ACCELERATE_", "LOCAL_", "WORLD_", "RANK"))
    }
    done = subprocess.run(
        command,
        env=without | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-2000:]


INNER = [{"use": "hidden"}, {"use": "kl"}, {"use": "attention"}]


@pytest.mark.slow
@pytest.mark.parametrize("terms", [TERMS, INNER], ids=["answers", "states"])
def test_two_processes_train_like_one(toy_path, tmp_path, terms):
    """31 sentences in batches of 6: the last batch has one window, so that one process has none."""
    runs = {}
    for world in (1, 2):
        out = tmp_path / f"world{world}"
        given = {
            "task": "tag",
            "count": 31,
            "dropout": 0.0,
            "options": OPTIONS,
            "terms": terms,
            "out": str(out),
        }
        train(toy_path, given, world=world)
        runs[world] = load_file(out), json.loads(out.with_suffix(".json").read_text())
    (one, log), (two, parallel) = runs[1], runs[2]
    assert len(log) == len(parallel) == 12
    for a, b in zip(log, parallel, strict=True):
        assert a["tokens"] == b["tokens"]
        names = ["loss", *(term["use"] for term in terms)]
        assert [b[k] for k in names] == pytest.approx([a[k] for k in names], rel=1e-5)
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5


SHARED = """
import sys
import numpy as np
from destila.models import heads
from destila.models.architecture import from_shape
from destila.training.predict import window_logits
from destila.training.processes import accelerator
from destila.types import Features

def window(row, length):
    blank = np.zeros(length, np.int32)
    return Features(
        row=row, window=0, input_ids=np.full(length, 5 + row, np.int32), type_ids=blank,
        spans=np.zeros((length, 2), np.int32), unit=blank - 1, start=0,
        owned=np.zeros(0, bool), target=np.zeros(0, np.int32),
    )

state = accelerator()
sizes = {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "kind": "bert"}
shape = from_shape(sizes, vocab_size=40, pad_id=0)
model = heads.build_model(shape, "tag", ("a", "b"), seed=0)
windows = [window(row, 3 + row % 7) for row in range(20)]
seen = []
own = window_logits(model, windows, pad_id=0, batch_tokens=20)
both = window_logits(
    model, windows, pad_id=0, batch_tokens=20, shared=True, progress=seen.append
)
assert all(np.array_equal(a, b) for a, b in zip(own, both, strict=True)), "other bits"
open(f"{sys.argv[1]}/{state.process_index}", "w").write(str(sum(seen)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
def test_processes_share_an_evaluation_to_the_same_bits(tmp_path, world):
    """Each computes its batches alone, and all get the logits of all."""
    (tmp_path / "shared.py").write_text(SHARED, encoding="utf-8")
    train(tmp_path / "shared.py", str(tmp_path), world=world)
    counts = [int((tmp_path / str(rank)).read_text()) for rank in range(world)]
    assert sum(counts) == 20
    assert all(counts)


MEETING = """
import sys, time
from pathlib import Path
from torch import distributed
from destila.training.processes import meet, processes

def collective(*arguments, **options):
    raise AssertionError("a collective")

state, folder = processes(), Path(sys.argv[1])
for name in ("barrier", "all_reduce", "all_gather", "broadcast"):
    setattr(distributed, name, collective)
for number in range(3):
    if state.is_main_process:
        time.sleep(0.3)
        (folder / f"done {number}").touch()
    meet()
    assert (folder / f"done {number}").exists(), "did not wait"
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_wait_for_each_other_without_a_collective(tmp_path):
    """However long the first one works, no GPU spins and no library gives up."""
    (tmp_path / "meeting.py").write_text(MEETING, encoding="utf-8")
    train(tmp_path / "meeting.py", str(tmp_path), world=2)
    assert (tmp_path / "done 2").exists()


def test_processes_that_would_train_side_by_side_are_refused(monkeypatch):
    processes()  # alone, as the tests run
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="2 processes were started but each runs alone"):
        processes()
