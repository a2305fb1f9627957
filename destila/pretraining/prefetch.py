"""The next batches of pre-training, made in a thread while the current ones are computed.

A source is a pure function of a cursor, so what is made ahead is what would have been made in its
turn; after a return to an earlier checkpoint it is thrown away. Each process makes its own rows of
the global batch, cut into micro-batches and ready for its device.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from accelerate import Accelerator

from destila.pretraining.pretrain_options import PretrainOptions, Stage
from destila.training.batches import StateSource, ready
from destila.training.step import cut_padding, masked_out, select_rows
from destila.types import Batch


class BatchSource(Protocol):
    """Batches of text without end.

    Cursors are frozen dataclasses of JSON-able values that compare by value.
    """

    def start(self) -> Any:
        """Return the cursor of the first batch."""

    def take(
        self,
        cursor: Any,
        *,
        rows: int,
        length: int,
        rate: float | None,
        pair: int | None,
        together: int,
        share: tuple[int, int],
    ) -> tuple[Batch, Any]:
        """Take a share of the global batch at a cursor, on the CPU, and the cursor behind it.

        See `pretraining.data.batch_stream.BatchStream.take` for the arguments.
        """


@dataclass(frozen=True, slots=True)
class Share:
    """What one process computes of a global batch. tokens: real ones. behind: the next cursor."""

    batches: Sequence[Batch]
    tokens: int
    behind: Any


class Prefetcher:
    """A source read one batch ahead; a context that ends the thread.

    Its source is used by that thread alone.
    """

    def __init__(
        self,
        source: BatchSource,
        options: PretrainOptions,
        accelerator: Accelerator,
        states: StateSource | None = None,
    ) -> None:
        """Begin no batch yet.

        Args:
            source: of batches.
            options: stages, and how many micro-batches.
            accelerator: which process this is, of how many, on which device.
            states: where a teacher's inner states come from.
        """
        self._source, self._options, self._states = source, options, states
        self._device = accelerator.device
        self._process, self._processes = accelerator.process_index, accelerator.num_processes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._place: tuple[int, Any] | None = None  # of the batch that is being made
        self._next: Future[Share] | None = None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, step: int, cursor: Any) -> Share:
        """Take this process's share of step `step`, counted from 0, at a cursor."""
        # What was made ahead is of no use after a return to an earlier checkpoint.
        if self._next is None or self._place != (step, cursor):
            self._begin(step, cursor)
        assert self._next is not None
        share = self._next.result()

        if step + 1 < self._options.steps:
            self._begin(step + 1, share.behind)
        return share

    def _begin(self, step: int, cursor: Any) -> None:
        self._place = (step, cursor)
        self._next = self._thread.submit(self._make, step, cursor)

    def _make(self, step: int, cursor: Any) -> Share:
        """Make the micro-batches of a step.

        A process without rows gets one from which there is nothing to learn: the others wait for
        its gradients.
        """
        stage: Stage = self._options.stages[self._options.stage(step)]
        idle = self._process >= stage.rows
        batch, behind = self._source.take(
            cursor,
            rows=stage.rows,
            length=stage.length,
            rate=stage.rate,
            pair=stage.pair,
            together=-(-stage.rows // self._options.accumulation),
            share=(0 if idle else self._process, self._processes),
        )

        parts = micro_batches(batch, 1 if idle else self._options.accumulation)
        tokens = 0 if idle else sum(int(part.mask.sum()) for part in parts)
        if self._states is not None:
            parts = [self._states.align_windows(part) for part in parts]
        if idle:
            parts = [masked_out(parts[0])]
        return Share([ready(part, self._device) for part in parts], tokens, behind)


def micro_batches(batch: Batch, accumulation: int) -> list[Batch]:
    """Return the rows of a batch in `accumulation` parts by length, or as many as there are."""
    if accumulation == 1:
        return [batch]

    # Rows of nearly one length together, cut to the longest of them.
    lengths = batch.mask.sum(1).numpy()  # [R]
    by_length = np.argsort(lengths, kind="stable")
    groups = np.array_split(by_length, min(accumulation, len(by_length)))
    return [cut_padding(select_rows(batch, g), int(lengths[g].max())) for g in groups]
