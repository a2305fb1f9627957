"""Threads that label texts, with one open session each; `serve/turns.py` says who is next.

Work is handed out text by text. Every thread opens its own session with one thread of its own, so
that all cores are busy, no call waits for another, and the answers have the bits of the command
line.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destila.errors import DestilaError, ModelError
from destila.inference.exported import is_exported
from destila.inference.labeller import Labeller
from destila.serve.turns import Item, Order, Place, Turns


class QueueFullError(Exception):
    """Say that more texts wait than the pool takes."""


class StoppingError(Exception):
    """Say that the pool takes nothing more."""


class WorkerError(Exception):
    """Say that a text failed for a reason that is ours."""


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
        self._turns = Turns()
        self._changed = threading.Condition()
        self._stopping = False

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

    @property
    def waiting(self) -> int:
        """How many texts wait."""
        return len(self._turns)

    @property
    def ready(self) -> bool:
        """Whether texts are taken."""
        return not self._stopping and all(thread.is_alive() for thread in self._threads)

    def submit(self, model: str, items: Sequence[Item], *, first: int = 0) -> Order:
        """Take the texts of one request into the queue, all or none.

        Args:
            model: one of the pool's models.
            items: the texts.
            first: number of the first text in its request.

        Raises:
            QueueFullError: more texts would wait than the capacity.
            StoppingError: the pool takes nothing more.

        """
        order = Order(model, list(items), first)
        with self._changed:
            if self._stopping:
                raise StoppingError("the server stops")
            waiting = len(self._turns)
            if waiting + len(order.items) > self.capacity:
                raise QueueFullError(f"{waiting} texts wait, at most {self.capacity} may")
            self._turns.add(order)
            self._changed.notify(len(order.items))
        return order

    def give_up(self, order: Order) -> None:
        """Label no more texts of a request; it costs nothing where all are labelled."""
        if not order.done.done():
            with self._changed:
                self._turns.drop(order)

    def stop(self) -> None:
        """Take nothing more; what was taken is answered."""
        # Threads that wait for a text wake up, to see that none will come.
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self) -> None:
        """Answer what was taken, take nothing more, and end the threads."""
        self.stop()
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
        """Label what is next until the pool is stopped and nothing waits."""
        while taken := self._next():
            self._answer(labellers, taken)

    def _answer(self, labellers: Mapping[str, Labeller], taken: list[Place]) -> None:
        """Label texts for one model; one that cannot be labelled fails its own request alone."""
        order, _ = taken[0]
        try:
            answers = _label(labellers[order.model], taken)
        except (DestilaError, ValueError, WorkerError) as error:
            if len(taken) == 1:
                self._fail(order, error)
                return
            # One of several failed, so each is asked about alone.
            for each in taken:
                self._answer(labellers, [each])
        else:
            self._finish(taken, answers)

    def _next(self) -> list[Place]:
        """Wait for texts and return some; none when the pool is stopped and nothing waits."""
        with self._changed:
            # A wake-up may be false, or another thread was quicker: look again.
            while not self._turns and not self._stopping:
                self._changed.wait()
            # What waits is for all the threads.
            return self._turns.take(-(-len(self._turns) // self.workers)) if self._turns else []

    def _finish(self, taken: list[Place], answers: list[dict[str, Any]]) -> None:
        """Note answers; the last one of a request ends it."""
        with self._changed:
            for (order, place), answer in zip(taken, answers, strict=True):
                order.answers[place] = answer
                order.left -= 1
                if not order.left and not order.done.done():
                    order.done.set_result(order.answers)

    def _fail(self, order: Order, error: Exception) -> None:
        """End a request with an error; its other texts are not labelled."""
        with self._changed:
            self._turns.drop(order)
            if not order.done.done():
                order.done.set_exception(error)


def _label(labeller: Labeller, taken: list[Place]) -> list[dict[str, Any]]:
    """Label texts for one model.

    Raises:
        DestilaError: a text cannot be labelled.
        WorkerError: anything else went wrong.
    """
    # Answers and errors name a text by its number in its own request.
    order, place = taken[0]
    first = order.first + place
    items = [_named(*each) for each in taken] if len(taken) > 1 else [order.items[place]]

    # A thread that ends by an error of ours would leave its core idle, and its request without an
    # answer. The error's words may hold the text, so only its kind is told.
    try:
        return [answer.to_dict() for answer in labeller.answers(items, first=first, strict=True)]
    except (DestilaError, ValueError):
        raise
    except Exception as error:
        raise WorkerError(f"text {first + 1} failed ({type(error).__name__})") from error


def _named(order: Order, place: int) -> Item:
    """Return a text with its number in its request as its id, unless it has one."""
    item = order.items[place]
    parts = item if isinstance(item, dict) else {"text": item}
    return {"id": str(order.first + place), **parts}
