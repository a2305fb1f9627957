"""The next batch of pre-training, made in a thread while the current one is computed.

A source is a pure function of a cursor, so what is made ahead is what would have been made in its turn; after a return
to an earlier checkpoint it is thrown away.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor

from destila.pretraining.options import PretrainOptions
from destila.training.batches import map_tensors
from destila.types import Batch


class BatchSource(Protocol):
    """Batches of text without end. Cursors are frozen dataclasses of JSON-able values that compare by value."""

    def start(self) -> Any:
        """The cursor of the first batch."""

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
        """The global batch at a cursor, on the CPU, and the cursor behind it; see `pretraining.data.batches.Feed.take`."""


class Prefetcher:
    """A source read one batch ahead; a context that ends the thread. Its source is used by that thread alone."""

    def __init__(self, source: BatchSource, options: PretrainOptions, device: torch.device) -> None:
        self._source, self._options, self._pinned = source, options, device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._asked: tuple[int, Any] | None = None
        self._made: Future[tuple[Batch, Any]] | None = None

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
        """The batch of step `step`, counted from 0, at a cursor, and the cursor behind it."""
        if self._made is None or self._asked != (step, cursor):
            self._begin(step, cursor)
        assert self._made is not None
        batch, behind = self._made.result()
        if step + 1 < self._options.steps:
            self._begin(step + 1, behind)
        return batch, behind

    def _begin(self, step: int, cursor: Any) -> None:
        self._asked, self._made = (step, cursor), self._thread.submit(self._make, step, cursor)

    def _make(self, step: int, cursor: Any) -> tuple[Batch, Any]:
        stage = self._options.stages[self._options.stage(step)]
        together = -(-stage.rows // self._options.accumulation)
        batch, behind = self._source.take(
            cursor,
            rows=stage.rows,
            length=stage.length,
            rate=stage.rate,
            pair=stage.pair,
            together=together,
        )
        if self._pinned:  # memory from which a GPU copies while it computes
            batch = map_tensors(batch, Tensor.pin_memory)
        return batch, behind
