"""Answers in blocks: the bytes of one machine, whatever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from destila.errors import ConfigError
from destila.inference import cluster_answers, label_texts
from destila.inference.cluster_answers import BlockWorker, join_blocks, make_block, plan_blocks
from destila.inference.label_texts import Asked, label_into_file

LABELS = ("no", "sí")
RUN = """
import json, sys, threading, time
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from destila.inference.label_texts import Asked, label_into_file

model, file, out, temporary = sys.argv[1:]
killed = []


def actors():
    "The processes that label now."
    below = psutil.Process().children(recursive=True)
    return [each for each in below if "MapWorker" in "".join(each.cmdline())]


def kill():
    "Ends one of two workers as soon as there is a block and both are at work."
    folder = Path(out).parent
    for _ in range(12000):
        done = list(folder.glob(".*.blocks/*.json"))
        working = actors()
        if done and len(working) == 2:
            working[0].kill()
            killed.append(len(done))
            return
        time.sleep(0.01)


if __name__ == "__main__":
    head = {"num_cpus": 2, "object_store_memory": 100_000_000, "temp_dir": temporary}
    cluster = Cluster(initialize_head=True, head_node_args=head | {"include_dashboard": False})
    try:
        killer = threading.Thread(target=kill)
        killer.start()
        asked = Asked(model=model, file=file, cluster=cluster.address, workers=2)
        answer = label_into_file(asked, out)
        killer.join()
    finally:
        cluster.shutdown()
    print("answer", json.dumps({**answer, "killed": killed}))
"""


def _texts(tmp_path: Path, count: int) -> Path:
    """Write a table of texts, some blank."""
    path = tmp_path / "new.csv"
    rows = ["id,text,other"]
    rows += [f'{i},"{"" if i % 7 == 0 else f"El niño, {i} comió."}",x{i}' for i in range(count)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_blocks_joined_are_the_bytes_of_one_machine(untrained, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(cluster_answers, "TEXTS_AT_ONCE", 8)
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 30)
    asked = Asked(model=model, file=str(file), threads=1)
    whole, joined = tmp_path / f"whole.{ending}", tmp_path / f"joined.{ending}"
    expected = label_into_file(asked, str(whole))

    plan = plan_blocks(tmp_path / "blocks", 30, 1)
    assert (plan.size, plan.count) == (8, 4)
    make = label_texts._open_blocks(asked, str(joined))
    for block in (2, 0, 3, 1):
        make_block(plan, block, make)

    # A block that is there is not made again, and the next run keeps the size of the blocks.
    when = plan.path(2).stat().st_mtime_ns
    make_block(plan_blocks(tmp_path / "blocks", 30, 7), 2, make)
    assert plan.path(2).stat().st_mtime_ns == when
    assert join_blocks(plan, joined) == {k: expected[k] for k in ("texts", "warnings", "errors")}
    assert joined.read_bytes() == whole.read_bytes()
    assert not plan.folder.exists()


def test_no_text_is_a_file_of_its_header(untrained, tmp_path):
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 0)
    asked = Asked(model=model, file=str(file), threads=1)
    label_into_file(asked, str(tmp_path / "whole.csv"))
    plan = plan_blocks(tmp_path / "blocks", 0, 2)
    make_block(plan, 0, label_texts._open_blocks(asked, str(tmp_path / "joined.csv")))
    join_blocks(plan, tmp_path / "joined.csv")
    assert (tmp_path / "joined.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_error_of_a_worker_comes_back_as_values(tmp_path):
    plan = plan_blocks(tmp_path / "blocks", 3, 1)
    absent = Asked(model=str(tmp_path), file=str(tmp_path / "absent.csv"))
    worker = BlockWorker(partial(label_texts._open_blocks, absent, "out.csv"), plan)
    assert "same version" in worker({"block": 0, "version": "0.0"})["message"]


def test_texts_that_are_in_no_file_are_refused(untrained, tmp_path):
    asked = Asked(model=str(untrained("classify", LABELS)), lines=["a"], cluster="local")
    with pytest.raises(ConfigError, match="labels a file that all machines see"):
        label_into_file(asked, str(tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.slow
def test_a_killed_worker_costs_its_block(untrained, tmp_path):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 12_000)
    label_into_file(Asked(model=model, file=str(file), threads=1), str(tmp_path / "whole.csv"))

    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    temporary = tempfile.mkdtemp(prefix="ray")  # not tmp_path: its sockets' names would be too long
    Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)
    out = tmp_path / "out.csv"
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", model, file, out, temporary],
        env=os.environ | {"RAY_memory_monitor_refresh_ms": "0"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, noise = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(temporary, ignore_errors=True)
    assert process.returncode == 0, noise[-3000:]
    answer = json.loads(output.rpartition("answer ")[2])
    assert answer["texts"] == 12_000
    assert answer["killed"], "nobody was killed"
    assert answer["killed"][0] < 16, "the worker was killed before the work was done"
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
