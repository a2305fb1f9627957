"""Rows of a corpus as batches for masked language modelling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from destila.pretraining.data.batch_stream import BatchStream, Cursor, MaskedRows
from destila.training.step import select_rows
from destila.types import IGNORE, Batch


@dataclass(frozen=True, slots=True)
class Batches:
    """A stream as the source that `pretrain` reads. every: see `batch_of`."""

    stream: BatchStream
    every: bool = False

    def start(self) -> Cursor:
        """Return the cursor of the first batch."""
        return self.stream.start()

    def take(self, cursor: Any, **shape: Any) -> tuple[Batch, Any]:
        """Take the batch at a cursor, and the cursor behind it; see `BatchStream.take`."""
        rows, behind = self.stream.take(cursor, **shape)
        return batch_of(rows, every=self.every), behind


def batch_of(rows: MaskedRows, *, every: bool = False) -> Batch:
    """Make a batch of some rows; its unit is the token.

    Args:
        rows: masked rows, i32 [R, L] each.
        every: ask the model at every real token, not only at the chosen ones. The published
            distillation of BETO compares teacher and student at every token (trap T7 of the fact
            sheet).
    """

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.int64))

    target, pair = tensor(rows.target), tensor(rows.pair)
    mask = pair > 0
    token = torch.arange(target.shape[1]).expand_as(target)  # every token is a unit
    return Batch(
        features=(),
        input_ids=tensor(rows.input_ids),
        mask=mask,
        type_ids=tensor(rows.type_ids),
        unit=token,
        first=token,
        unit_mask=mask if every else target != IGNORE,
        target=target,
        positions=tensor(rows.positions),
        pair=pair,
        order=tensor(rows.order),
    )


def split_rows(batch: Batch, rows: int) -> Iterator[Batch]:
    """Yield a batch in parts of so many rows; the last may have fewer."""
    for start in range(0, len(batch.input_ids), rows):
        yield select_rows(batch, slice(start, start + rows))
