"""Ctrl-C and SIGTERM: one line, the exit code of the signal, children ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from destila.stopping import RememberedProgress, Stopped, catching_signals

SLOW_COMMAND = """
import time
from destila import cli
from destila.corpus import train_tokenizer

def learn(*lines, **options):
    print("go", flush=True)
    time.sleep(60)

train_tokenizer.learn = learn
cli.main()
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", CODES)
def test_a_signal_raises_once_and_then_ends(number):
    """The first one raises `Stopped`; the handlers of before are back then."""
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as end, catching_signals():
        signal.raise_signal(number)
    assert end.value.code == CODES[number]
    assert signal.getsignal(number) is before


def test_a_library_that_hides_the_signal_changes_nothing():
    """One that is being imported may raise an error of its own in its place."""

    def hide() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Stopped as error:
            raise ImportError("initialization failed") from error

    with pytest.raises(Stopped) as end, catching_signals():
        hide()
    assert end.value.code == 143


def test_progress_says_where_it_was():
    """The last stage in words, with steps where they are counted."""
    calls = []
    progress = RememberedProgress(lambda *call: calls.append(call))
    assert progress.place() == ""
    progress("baseline: tfidf", 0, 0)
    assert progress.place() == " at baseline: tfidf"
    progress("student-s0: epoch 1/2", 1041, 2000)
    assert progress.place() == " at student-s0: epoch 1/2, step 1,041 of 2,000"
    progress("lines read", 5, 0)
    assert progress.place() == " at lines read, step 5"
    assert len(calls) == 3


@pytest.mark.parametrize("number", CODES)
def test_a_command_that_is_stopped_says_one_line(tmp_path, number):
    """A training of a tokenizer that takes long ends with a line and the signal's code."""
    (tmp_path / "a.txt").write_text("Hola.\n")
    command = [sys.executable, "-c", SLOW_COMMAND, "tokenizer", "a.txt", "--out", "t"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout.readline() == "go\n"
        started = time.monotonic()
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
    assert process.returncode == CODES[number]
    assert told == "stopped; nothing is left half written\n"
    assert time.monotonic() - started < 10
    assert not (tmp_path / "t").exists()
