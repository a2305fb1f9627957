"""Processes that label texts beside this one, where there are enough texts to be worth their start.

Threads of one process wait for its one interpreter a tenth of the time; processes do not. They take
half a second to start, so threads begin, and processes take over once they are ready. Whatever
goes wrong with one of them costs no text: threads go on as before.

They end with the process that started them, however that ends: what they read from is closed then.
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from destila import cpu
from destila.children import python
from destila.inference.answer_items import Outcome
from destila.inference.bulk_worker import (
    identity_of_code,
    pack_examples,
    receive,
    send,
    unpack_outcomes,
)
from destila.types import Example

_PROCESS_BYTES = 150_000_000
"""Of a worker with its libraries, the model not counted; measured: 95 MB."""

_JOBS_AT_ONCE = 2
"""Jobs that a process is given: one it works on, and one that waits, so that it never does."""


class LostWorkerError(Exception):
    """Say that a process cannot answer; it is no fault of the texts."""


class _Process:
    """A process that labels, and whose answers come in the order of its jobs."""

    def __init__(self, folder: Path) -> None:
        # It has one core to itself.
        one = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._program = subprocess.Popen(
            python("-m", "destila.inference.bulk_worker", str(folder.absolute())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | one,
        )
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._jobs, self._answers = self._program.stdin, self._program.stdout
        self.pid = self._program.pid

    def hello(self) -> Any:
        """Return what it says of its code, once it is there."""
        return receive(self._answers)

    def ask(self, job: Any) -> Any:
        """Return the answers to a job."""
        # Whoever sends is the next to receive.
        with self._sending:
            send(self._jobs, job)
            self._receiving.acquire()
        try:
            return receive(self._answers)
        finally:
            self._receiving.release()

    def kill(self) -> None:
        """End it at once: it holds nothing that could be lost."""
        self._program.kill()
        self._program.wait()
        for pipe in (self._jobs, self._answers):
            with suppress(OSError):
                pipe.close()


class BulkWorkers:
    """Processes with one session each, all of one exported folder.

    They start in the background. `ready` says whether they may be asked; it is never true where
    they cannot be started, run other code, or read another model than the one at hand.

    Args:
        folder: that `destila export` wrote.
        number: of processes.
        state: of the folder's files when its model was opened here, as `folder_state` says it.

    Attributes:
        processes: all of them.
        pool: threads that ask, as many as there are jobs at once.
    """

    def __init__(self, folder: Path, number: int, state: list[Any]) -> None:
        self._owner = os.getpid()
        self._free: SimpleQueue[_Process | None] = SimpleQueue()
        self._usable, self._closed = threading.Event(), threading.Event()
        self.processes: list[_Process] = []
        with suppress(OSError):  # no more processes are allowed, or no memory for them
            for _ in range(number):
                self.processes.append(_Process(folder))
        self._end = weakref.finalize(self, _kill_all, self.processes)
        self.pool = ThreadPoolExecutor(number * _JOBS_AT_ONCE, thread_name_prefix="destila-bulk")
        if len(self.processes) < number:
            self.close()
            return

        threading.Thread(
            target=_await_all,
            args=(self.processes, folder, state, self._free, self._usable),
            daemon=True,
        ).start()

    @property
    def ready(self) -> bool:
        """Whether all have said that they are there, none is lost, and this process is no fork."""
        usable = self._usable.is_set() and not self._closed.is_set()
        return usable and os.getpid() == self._owner

    def ask(self, examples: Sequence[Example]) -> list[Outcome]:
        """Return the outcomes of examples, by the next process that is free.

        Raises:
            LostWorkerError: that process has ended; then all are ended.
        """
        process = self._free.get()
        try:
            if process is None:
                raise EOFError("all are ended")
            packed = process.ask(pack_examples(examples))
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise LostWorkerError from error
        self._free.put(process)
        return unpack_outcomes(packed)

    def close(self) -> None:
        """End all processes."""
        self._closed.set()
        self._end()
        # Whoever waits for one need not wait for ever.
        for _ in range(len(self.processes) * _JOBS_AT_ONCE):
            self._free.put(None)


def folder_state(folder: Path) -> list[Any]:
    """Return what tells one state of a folder's files from another unread: sizes and times."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def have_room(number: int, graph: Path) -> bool:
    """Tell whether so many processes with a graph take no more than half of the free memory."""
    return 2 * number * (_PROCESS_BYTES + 3 * graph.stat().st_size) < cpu.free_memory()


def _await_all(
    processes: list[_Process],
    folder: Path,
    state: list[Any],
    free: SimpleQueue[_Process | None],
    usable: threading.Event,
) -> None:
    """Wait until all processes are there, and see that they run this code on this model."""
    try:
        codes = [process.hello() for process in processes]
        alike = all(code == identity_of_code() for code in codes) and folder_state(folder) == state
    except (OSError, EOFError, ValueError):
        alike = False
    if not alike:
        _kill_all(processes)
        return
    for process in processes * _JOBS_AT_ONCE:
        free.put(process)
    usable.set()


def _kill_all(processes: Sequence[_Process]) -> None:
    """End all processes."""
    for process in processes:
        process.kill()
