"""The next batch of pre-training, made in a thread while the current one is computed.

A source is a pure function of a cursor, so what is made ahead is what would have been made in its
turn; after a return to an earlier checkpoint it is thrown away.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor

from destila.pretraining.pretrain_options import PretrainOptions
from destila.training.batches import map_tensors
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
    ) -> tuple[Batch, Any]:
        """Take the global batch at a cursor, on the CPU, and the cursor behind it.

        See `pretraining.data.batch_stream.BatchStream.take` for the arguments.
        """


class Prefetcher:
    """A source read one batch ahead; a context that ends the thread.

    Its source is used by that thread alone.
    """

    def __init__(self, source: BatchSource, options: PretrainOptions, device: torch.device) -> None:
        self._source, self._options, self._pinned = source, options, device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._place: tuple[int, Any] | None = None  # of the batch that is being made
        self._next: Future[tuple[Batch, Any]] | None = None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, step: int, cursor: Any) -> tuple[Batch, Any]:
        """Take the batch of step `step`, counted from 0, at a cursor, and the cursor behind it."""
        # What was made ahead is of no use after a return to an earlier checkpoint.
        if self._next is None or self._place != (step, cursor):
            self._begin(step, cursor)
        assert self._next is not None
        batch, behind = self._next.result()

        if step + 1 < self._options.steps:
            self._begin(step + 1, behind)
        return batch, behind

    def _begin(self, step: int, cursor: Any) -> None:
        self._place = (step, cursor)
        self._next = self._thread.submit(self._make, step, cursor)

    def _make(self, step: int, cursor: Any) -> tuple[Batch, Any]:
        stage = self._options.stages[self._options.stage(step)]
        batch, behind = self._source.take(
            cursor,
            rows=stage.rows,
            length=stage.length,
            rate=stage.rate,
            pair=stage.pair,
            together=-(-stage.rows // self._options.accumulation),
        )
        if self._pinned:  # memory from which a GPU copies while it computes
            batch = map_tensors(batch, Tensor.pin_memory)
        return batch, behind
