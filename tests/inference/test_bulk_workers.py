"""Processes that label: the same answers, no text lost with them, and none of them left behind."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from io import BytesIO
from pathlib import Path

import pytest

from destila.inference import labeller as labelling
from destila.inference.answer_items import Manner, answer_items
from destila.inference.bulk_worker import (
    identity_of_code,
    pack_examples,
    receive,
    send,
    unpack_outcomes,
    work,
)
from destila.inference.items import items_of
from destila.inference.labeller import Labeller
from destila.results import RefusedResult

BAD = [None, {"texto": "x"}, "", "a" * 5000, "media \ud83d cara", "ñandú 👩‍👩‍👧 Übér"]
CLI = """
from destila.inference import labeller
labeller._WORKERS_PAY_AFTER = 0.0
from destila.cli import main
main()
"""


def until(true, what: str, seconds: float = 30) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def workers_below(pid: int) -> list[int]:
    """The processes below a process that label."""
    below = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(each) for file in below for each in file.read_text().split()]
    return [p for p in pids if b"bulk_worker" in Path(f"/proc/{p}/cmdline").read_bytes()]


@pytest.fixture
def bulk(exported, monkeypatch):
    """A labeller of a classifier, whose two processes are there."""
    monkeypatch.setattr(labelling, "_WORKERS_PAY_AFTER", 0.0)
    labeller = Labeller(exported("classify"), threads=2)
    assert len(list(labeller.answers(["uno dos"] * 200))) == 200
    until(lambda: labeller._workers.ready, "ready")
    return labeller


@pytest.fixture
def mixed(asked):
    """Makes texts of a task, with every kind of bad one among them."""

    def make(task: str) -> list:
        return random.Random(0).sample(every := [*asked(task), *BAD] * 2, len(every))

    return make


def test_processes_answer_as_one_thread_does(bulk, mixed, monkeypatch):
    texts = mixed("classify")
    alone = list(Labeller(bulk.predictor.info.path, threads=1).answers(texts))

    # All that is asked goes to the processes: this one could not answer.
    monkeypatch.setattr(labelling, "answer_examples", None)
    assert list(bulk.answers(iter(texts))) == alone


@pytest.mark.parametrize("task", ["classify", "pair", "tag", "span"])
def test_what_goes_through_a_pipe_comes_back_to_the_bit(exported, mixed, task):
    folder = exported(task)
    one, texts = Labeller(folder, threads=1), mixed(task)
    alone = list(one.answers(texts))

    def ask(examples):
        jobs, answers = BytesIO(), BytesIO()
        send(jobs, pack_examples(examples))
        jobs.seek(0)
        work(folder, jobs, answers)
        answers.seek(0)
        assert receive(answers) == identity_of_code()
        return unpack_outcomes(receive(answers))

    numbered = list(enumerate(items_of(texts)))
    piped = [result for _, result in answer_items(one.predictor, numbered, Manner(), ask)]
    assert piped == alone
    assert [json.dumps(r.to_dict()) for r in piped] == [json.dumps(r.to_dict()) for r in alone]
    assert sum(isinstance(result, RefusedResult) for result in piped) >= 4


def test_a_killed_process_costs_no_text(bulk, asked):
    labeller = bulk
    pids = [process.pid for process in labeller._workers.processes]
    texts = asked("classify") * 10
    alone = list(Labeller(labeller.predictor.info.path, threads=1).answers(texts))

    answers = labeller.answers(texts)
    begun = [next(answers) for _ in range(40)]
    os.kill(pids[0], signal.SIGKILL)
    assert begun + list(answers) == alone
    until(lambda: not any(map(is_alive, pids)), "the other one has ended too")
    assert list(labeller.answers(texts)) == alone


def test_processes_end_with_their_model(exported, monkeypatch):
    monkeypatch.setattr(labelling, "_WORKERS_PAY_AFTER", 0.0)
    labeller = Labeller(exported("classify"), threads=2)
    list(labeller.answers(["uno dos"] * 200))
    pids = [process.pid for process in labeller._workers.processes]
    assert all(map(is_alive, pids))
    del labeller
    gc.collect()
    until(lambda: not any(map(is_alive, pids)), "both have ended")


def test_a_folder_that_changed_meanwhile_is_not_read_again(exported, monkeypatch):
    monkeypatch.setattr(labelling, "_WORKERS_PAY_AFTER", 0.0)
    folder = exported("classify")
    labeller = Labeller(folder, threads=2)
    os.utime(folder / "model.onnx", (1, 1))
    answers = list(labeller.answers(["uno dos"] * 200))
    until(lambda: not any(is_alive(p.pid) for p in labeller._workers.processes), "all ended")
    assert not labeller._workers.ready
    assert list(labeller.answers(["uno dos"] * 200)) == answers


def test_a_few_texts_start_no_process(exported, asked):
    labeller = Labeller(exported("classify"), threads=2)
    list(labeller.answers(asked("classify")))
    assert labeller._workers is None


@pytest.mark.slow
def test_a_script_without_a_guard_of_main_runs_once(exported, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import destila
        from destila.inference import labeller
        labeller._WORKERS_PAY_AFTER = 0.0
        model = destila.load({str(exported("classify"))!r}, threads=2)
        texts = ["uno dos tres"] * 200
        answers = model.predict(texts)
        while not model.labeller._workers.ready:
            pass
        print(len(model.predict(texts)), model.predict(texts) == answers)
        """)
    )
    (tmp_path / "random.py").write_text("raise SystemExit('the library of the working folder')")
    environment = os.environ | {"PYTHONPATH": str(Path(labelling.__file__).parents[2])}
    command = [sys.executable, "-P", str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60
    )
    assert (done.stdout, done.stderr) == ("200 True\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "code"), [("INT", 130), ("TERM", 143), ("KILL", -9)])
def test_a_stopped_command_leaves_no_process(exported, tmp_path, sign, code):
    texts = tmp_path / "texts.txt"
    texts.write_text("uno dos tres cuatro\n" * 300_000)
    command = [sys.executable, "-c", CLI, "predict", str(exported("classify")), str(texts)]
    command += ["--out", str(tmp_path / "out.jsonl"), "--threads", "2"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        until(lambda: len(workers_below(run.pid)) == 2, "two processes")
        workers = workers_below(run.pid)
        until(lambda: all(_seconds(pid) > 1.5 for pid in workers), "they work")

        # A terminal tells the whole group of Ctrl-C.
        (os.killpg if sign == "INT" else os.kill)(run.pid, getattr(signal, f"SIG{sign}"))
        error = run.communicate(timeout=30)[1]
    assert run.returncode == code
    assert "Traceback" not in error
    until(lambda: not any(map(is_alive, workers)), "both have ended")


def _seconds(pid: int) -> float:
    """Processor time of a process."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
