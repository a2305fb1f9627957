"""Threads that label texts, with one open session each; requests take turns, text by text.

A request of a thousand texts must not hold up a request of one. So work is handed out text by text,
and the requests that wait take turns: whoever comes waits for one text of each of the others.
Every thread opens its own session with one thread of its own, so that all cores are busy, no call
waits for another, and the answers have the bits of the command line.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.errors import DestilaError, ModelError
from destila.inference.exported import is_exported
from destila.inference.labeller import Labeller

Item = str | dict[str, Any]
"""A text, or an object with its parts, as `Labeller.answers` takes them."""


class QueueFullError(Exception):
    """Say that more texts wait than the pool takes."""


@dataclass(slots=True)
class Job:
    """One text for one model. number: of the text in its request, which names it in the answer."""

    model: str
    item: Item
    number: int
    answer: Future[dict[str, Any]]


class WorkerPool:
    """Label texts of several models on several threads.

    Args:
        folders: the folder of each exported model, by its name.
        workers: threads, each with a session per model.
        capacity: texts that may wait; more are refused.

    Raises:
        ModelError: a folder is not an exported model, or is damaged.

    """

    def __init__(self, folders: Mapping[str, Path], *, workers: int, capacity: int) -> None:
        self.folders = dict(folders)
        self.workers = workers
        self.capacity = capacity

        # All threads share these: they change under the lock of `_changed` alone.
        self.waiting = 0
        self._turns: deque[deque[Job]] = deque()
        self._changed = threading.Condition()
        self._closed = False

        # All sessions are opened before the first text comes, so that a wrong folder shows at once.
        self._labellers = [self._open_all() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(each,), name=f"destila-{i}", daemon=True)
            for i, each in enumerate(self._labellers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def tasks(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Task and labels of every model."""
        opened = self._labellers[0]
        return {name: (each.predictor.task.name, each.labels) for name, each in opened.items()}

    def submit(self, model: str, items: Sequence[Item], *, first: int = 0) -> list[Job]:
        """Take the texts of one request into the queue and return their jobs, in order.

        Args:
            model: one of the pool's models.
            items: the texts.
            first: number of the first text in its request.

        Raises:
            QueueFullError: more texts would wait than the capacity, or the pool is closed.

        """
        jobs = [Job(model, item, first + i, Future()) for i, item in enumerate(items)]
        # All of a request's texts are taken, or none.
        with self._changed:
            if self._closed or self.waiting + len(jobs) > self.capacity:
                raise QueueFullError(f"{self.waiting} texts wait, at most {self.capacity} may")
            self.waiting += len(jobs)
            self._turns.append(deque(jobs))
            self._changed.notify(len(jobs))
        return jobs

    def close(self) -> None:
        """Answer what was taken, take nothing more, and end the threads."""
        # Threads that wait for a text wake up, to see that none will come.
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _open_all(self) -> dict[str, Labeller]:
        """Open every model for one thread; raise ModelError for a folder that is not exported."""
        # A folder of weights would need torch, which the server does without.
        for name, folder in self.folders.items():
            if not is_exported(folder):
                raise ModelError(
                    f"model '{name}': {folder} is not an exported model; "
                    f"'destila export {folder}' makes one"
                )
        return {name: Labeller(folder, threads=1) for name, folder in self.folders.items()}

    def _work(self, labellers: Mapping[str, Labeller]) -> None:
        """Label one text after the other until the pool is closed and nothing waits."""
        while (job := self._next()) is not None:
            if not job.answer.set_running_or_notify_cancel():
                continue  # its request has gone
            # A text that cannot be labelled fails its own job; the thread goes on with the next.
            try:
                model = labellers[job.model]
                answers = model.answers([job.item], first=job.number, strict=True)
                job.answer.set_result(next(answers).to_dict())
            except (DestilaError, ValueError) as error:
                job.answer.set_exception(error)

    def _next(self) -> Job | None:
        """Wait for a text and return it; None when the pool is closed and nothing waits."""
        with self._changed:
            # A wake-up may be false, or another thread was quicker: look again.
            while not self._turns and not self._closed:
                self._changed.wait()
            if not self._turns:
                return None

            # One text of the request whose turn it is.
            request = self._turns.popleft()
            job = request.popleft()
            if request:
                self._turns.append(request)  # to the end: the others come first
            self.waiting -= 1
            return job
