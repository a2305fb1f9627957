"""The batches of every step, made ahead in a thread while a GPU computes the one before.

What a batch holds depends on its number alone, so one that is made ahead is the one that would have
been made in its turn. On a CPU a thread would only take the time of the training's own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from destila.training.batches import (
    StateSource,
    TeacherLogits,
    collate,
    epoch_batches,
    ready,
)
from destila.training.options import TrainOptions
from destila.training.step import masked_out
from destila.types import Batch, Features

_K = TypeVar("_K")
_V = TypeVar("_V")

_AHEAD = 2
"""Batches that are made before the first of them is asked for."""


@dataclass(frozen=True, slots=True)
class TrainData:
    """Encoded windows, and what the teacher says of each when one is distilled from.

    teacher: its logits per unit; None: no term compares them.
    states: where its inner states come from; None: no term compares them.
    length: least tokens that batches are padded to.
    """

    features: Sequence[Features]
    pad_id: int
    teacher: TeacherLogits | None = None
    states: StateSource | None = None
    length: int = 0

    def batch(self, chosen: Sequence[int] | np.ndarray) -> Batch:
        """Return the padded batch of the windows at some positions."""
        features = [self.features[i] for i in chosen]
        batch = collate(features, self.pad_id, teacher=self.teacher, length=self.length)
        return batch if self.states is None else self.states.align_windows(batch)


@dataclass(frozen=True, slots=True)
class StepBatches:
    """What one process computes in one step. epoch: from 0. tokens: real ones in the batches."""

    number: int
    epoch: int
    batches: Sequence[Batch]
    tokens: int


class Feed:
    """The batches of a training on labelled data, step by step, for one of its processes."""

    def __init__(
        self,
        data: TrainData,
        options: TrainOptions,
        *,
        seed: int,
        device: torch.device,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        """Count the steps of an epoch.

        Args:
            data: the windows, and the teacher's side of them.
            options: sizes and order of the batches.
            seed: of the order.
            device: that computes.
            process: number of this process, from 0.
            processes: among which every global batch is shared out.
        """
        self.data, self.options, self.seed, self.device = data, options, seed, device
        self.process, self.processes = process, processes
        self.per_epoch = math.ceil(len(data.features) / options.batch_size)
        self.count = options.steps or self.per_epoch * options.epochs

        self._lengths = np.array([len(f.input_ids) for f in data.features])
        self._order: tuple[int, list[np.ndarray]] = (-1, [])  # of the epoch read last

    def steps(self, first: int) -> Iterator[StepBatches]:
        """Yield what every step computes, from the step of a number on, counted from 0."""
        yield from ahead(self._make, range(first, self.count), self.device)

    def _make(self, number: int) -> StepBatches:
        """Make the micro-batches of a step."""
        # the order of an epoch is drawn when the epoch begins, or is gone on with
        epoch, index = divmod(number, self.per_epoch)
        if self._order[0] != epoch:
            drawn = epoch_batches(self._lengths, self.options, seed=self.seed, epoch=epoch)
            self._order = (epoch, drawn)

        # every process computes its slice of the global batch
        windows = self._order[1][index][self.process :: self.processes]
        batches = [ready(batch, self.device) for batch in self._micro_batches(windows)]
        return StepBatches(number, epoch, batches, int(self._lengths[windows].sum()))

    def _micro_batches(self, windows: np.ndarray) -> list[Batch]:
        """Return windows in `accumulation` parts; a masked window when there is none."""
        if not len(windows):  # the other processes wait for this one's gradients all the same
            return [masked_out(self.data.batch([0]))]
        parts = np.array_split(windows, min(self.options.accumulation, len(windows)))
        return [self.data.batch(part) for part in parts]


def ahead(make: Callable[[_K], _V], keys: Iterable[_K], device: torch.device) -> Iterator[_V]:
    """Yield what a function makes of each key, in order; ahead in a thread beside a GPU.

    Args:
        make: called by one thread at a time.
        keys: read no further than what is made.
        device: that computes what is made.
    """
    if device.type == "cpu":
        yield from map(make, keys)
        return

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        made: deque[Future[_V]] = deque()
        try:
            for key in keys:
                made.append(thread.submit(make, key))
                if len(made) > _AHEAD:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)
