"""A model folder as a function from texts to objects, for `destila.load` and `destila predict`.

One rule holds wherever texts come from: every one has an answer, in its place. One that cannot be
read is answered by an error and costs no other; what was cut of one is said in a warning.

A folder of `destila export` is run without torch, any other with it. What is imported here is all
that a new process waits for before its first answer: neither torch nor pydantic.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain, count, islice, repeat
from pathlib import Path
from time import perf_counter
from typing import Any

from destila import hub
from destila.errors import ConfigError, DataError, DestilaError, require
from destila.inference.answer_items import (
    Answered,
    Ask,
    Manner,
    Outcome,
    answer_examples,
    answer_items,
)
from destila.inference.bulk_workers import BulkWorkers, LostWorkerError, folder_state, have_room
from destila.inference.exported import is_exported
from destila.inference.items import UserText, columns_of, items_of
from destila.inference.predictor import Predictor, RuntimePredictor
from destila.model_folder import FolderInfo, read_folder
from destila.results import RefusedResult, Result
from destila.tasks import task_of_folder
from destila.types import Example

_log = logging.getLogger(__name__)

TEXTS_AT_ONCE = 256
"""Texts that torch, or a single thread, is given at once."""

_TEXTS_A_JOB = 32
"""Texts that one of several threads takes at a time, the first ones fewer: each hand-over costs."""

_PARTS_A_CALLER = 2
"""Jobs that what is left at the end is parted into, for each thread, again and again."""

_JOBS_AHEAD = 4
"""Jobs for each thread that are begun before the first of them is answered."""

_WORKERS_PAY_AFTER = 2.0
"""Seconds that answers of several threads are waited for before processes are started."""

_Job = list[tuple[int, UserText]] | DestilaError
"""Numbers and items, or the error that ended their source."""


class Labeller:
    """A loaded model folder that labels texts.

    Args:
        folder: model folder or hub name.
        threads: of an exported model; None: as many as this process may keep busy.
        device: of a folder with weights, "cpu" or "cuda".

    Raises:
        ConfigError: there is no such device, or an exported model is asked to run on a GPU.

    Attributes:
        predictor: the model, opened.
        facts: what its destila.json says.
        columns: `text`, `pair` or `id` -> name of the training data's column.
    """

    def __init__(
        self, folder: str | Path, *, threads: int | None = None, device: str = "cpu"
    ) -> None:
        path = hub.resolve(folder)
        self._start: Callable[[], BulkWorkers | None] = _no_workers
        self._workers: BulkWorkers | None = None
        self._waited = 0.0
        self.predictor: Predictor
        if is_exported(path):
            if device != "cpu":
                raise ConfigError(f"{path} is exported and runs on the CPU: leave --device out")
            state = folder_state(path)
            exported = RuntimePredictor(path, threads=threads)
            self.predictor, info = exported, exported.info
            self._start = partial(_start_workers, exported, state)
        else:
            info = read_folder(path)
            self.predictor = _load_torch(info, device)

        self.facts = info.extra
        self.columns = columns_of(info.extra)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.predictor.labels

    def answers(
        self,
        texts: Iterable[Any],
        *,
        first: int = 0,
        min_probability: float | None = None,
        strict: bool = False,
    ) -> Iterator[Result]:
        """Yield one result per text, in order, read lazily.

        Args:
            texts: strings or objects.
            first: number of the first text, its id where it has none.
            min_probability: labels of a lower one are null; see `undecided`.
            strict: stop at the first text that cannot be read.

        Raises:
            DataError: with `strict`, a text cannot be read.
        """
        manner = Manner(self.columns, min_probability, strict)
        answered = self.label(items_of(texts, first=first), manner, first=first)
        return (answer for _, answer in answered)

    def label(
        self, items: Iterable[UserText], manner: Manner, *, first: int = 0
    ) -> Iterator[Answered]:
        """Yield items with their answers, in order, read lazily.

        Several threads of an exported model take a few texts at a time, each by calls of one
        thread; answers are waited for in the order of the texts. A text alone has all threads.
        When that has taken a while, as many processes take the threads' place; they are kept until
        this object is gone.

        Args:
            items: what is asked.
            manner: how it is answered.
            first: number of the first item.

        Raises:
            DataError: `manner.strict`, and an item cannot be answered.
        """
        source = enumerate(items, first)
        beginning = list(islice(source, 2))
        callers = self.predictor.callers if len(beginning) > 1 else 1
        numbered = chain(beginning, source)

        if callers > 1:
            # Few at first: also a short list keeps all threads busy, and soon has answers.
            sizes = (min(1 << number // callers, _TEXTS_A_JOB) for number in count())
            jobs = _jobs(numbered, sizes, parts=_PARTS_A_CALLER * callers)
            answered = self._on_threads(jobs, callers, manner)
        else:
            jobs = _jobs(numbered, repeat(TEXTS_AT_ONCE))
            alone = partial(answer_examples, self.predictor)
            answered = chain.from_iterable(self._answer_job(job, manner, alone) for job in jobs)

        for item, result in answered:
            if manner.strict and isinstance(result, RefusedResult):
                raise DataError(result.error)
            yield item, result

    def _on_threads(self, jobs: Iterable[_Job], callers: int, manner: Manner) -> Iterator[Answered]:
        """Yield the answers of jobs that several threads work on, in order."""
        threads = self.predictor.open_pool()
        ahead: deque[Future[list[Answered]]] = deque()
        for job in jobs:
            workers = self._workers
            pool = workers.pool if workers is not None and workers.ready else threads
            ahead.append(pool.submit(self._answer_job, job, manner, self._ask_beside))
            if len(ahead) > _JOBS_AHEAD * callers:
                yield from self._wait_for(ahead.popleft())
        while ahead:
            yield from ahead.popleft().result()

    def _wait_for(self, answers: Future[list[Answered]]) -> list[Answered]:
        """Return answers when they are there; start processes where much has been waited for."""
        # Who reads the answers slowly waits for none of them, and needs no processes.
        began = perf_counter()
        answered = answers.result()
        self._waited += perf_counter() - began
        if self._waited > _WORKERS_PAY_AFTER and self._workers is None:
            self._workers, self._start = self._start(), _no_workers
        return answered

    def _ask_beside(self, examples: Sequence[Example]) -> list[Outcome]:
        """Ask a process about examples, or where there is none the model here, on this thread."""
        if self._workers is not None and self._workers.ready:
            try:
                return self._workers.ask(examples)
            except LostWorkerError:
                _log.info("a process that labelled texts has ended: threads go on")
        return answer_examples(self.predictor, examples, beside=True)

    def _answer_job(self, job: _Job, manner: Manner, ask: Ask) -> list[Answered]:
        """Answer the items of a job, or raise the error that ended their source."""
        if isinstance(job, DestilaError):
            raise job
        return answer_items(self.predictor, job, manner, ask)


def _no_workers() -> None:
    """Start no processes: a model with weights has none, and they are started once."""


def _start_workers(predictor: RuntimePredictor, state: list[Any]) -> BulkWorkers | None:
    """Start as many processes as a model has threads; None where memory is short."""
    if not have_room(predictor.threads, predictor.choice.file):
        return None
    return BulkWorkers(predictor.info.path, predictor.threads, state)


def _jobs(
    numbered: Iterator[tuple[int, UserText]], sizes: Iterator[int], *, parts: int = 0
) -> Iterator[_Job]:
    """Yield lists of up to so many items, and last the error that ended the source, if one did.

    So what stood before a damaged place is answered before the error is raised.

    Args:
        numbered: items with their numbers.
        sizes: how many items a list has at most, one list after the other.
        parts: a list is no more than one of so many parts of what is read ahead, so that lists
            shrink towards the end, and all who work on them end together; 0: nothing is.
    """
    waiting: deque[tuple[int, UserText]] = deque()
    failure: DestilaError | None = None
    for size in sizes:
        try:
            if failure is None:
                waiting.extend(islice(numbered, max(size * parts, size) - len(waiting)))
        except DestilaError as error:
            failure = error
        if not waiting:
            break

        part = max(1, len(waiting) // parts) if parts else size
        yield [waiting.popleft() for _ in range(min(size, part, len(waiting)))]
    if failure is not None:
        yield failure


def _load_torch(info: FolderInfo, device: str) -> Predictor:
    """Return the Predictor of a folder with weights; raise MissingExtraError without torch."""
    _, labels = info.head()
    require("torch", "train")
    # Only now: torch takes seconds to import, and exports do without.
    from destila.models import hf
    from destila.training.devices import device_named
    from destila.training.precision import precision_for
    from destila.training.predict import TorchPredictor

    precision = precision_for("fp32" if device == "cpu" else "auto", device_named(device))
    loaded = hf.load(info.path, head_required=True)
    longest = int(info.extra.get("max_length", loaded.max_length))
    task = task_of_folder(info)
    return TorchPredictor(
        loaded.model, loaded.tokenizer, task, labels, max_length=longest, precision=precision
    )
