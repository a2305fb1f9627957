"""Rows of a corpus as batches for masked language modelling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from destila.pretraining.data.batches import BatchStream, Cursor, MaskedRows
from destila.types import IGNORE, Batch


@dataclass(frozen=True, slots=True)
class Batches:
    """A feed as what `pretrain` reads. every: see `batch_of`."""

    feed: BatchStream
    every: bool = False

    def start(self) -> Cursor:
        """The cursor of the first batch."""
        return self.feed.start()

    def take(self, cursor: Any, **shape: Any) -> tuple[Batch, Any]:
        """The batch at a cursor, and the cursor behind it; see `Feed.take`."""
        taken, behind = self.feed.take(cursor, **shape)
        return batch_of(taken, every=self.every), behind


def batch_of(taken: MaskedRows, *, every: bool = False) -> Batch:
    """The batch of some rows. every: ask the model at every real token, not only at the chosen ones.

    The published distillation of BETO compares teacher and student at every token (trap T7 of the fact sheet).
    """
    names = ("input_ids", "target", "type_ids", "positions", "pair", "order")
    ids, target, types, positions, pair, order = (
        torch.from_numpy(getattr(taken, n).astype(np.int64)) for n in names
    )
    mask = pair > 0
    unit = torch.arange(ids.shape[1]).expand_as(ids)
    return Batch(
        features=(),
        input_ids=ids,
        mask=mask,
        type_ids=types,
        unit=unit,
        first=unit,
        unit_mask=mask if every else target != IGNORE,
        target=target,
        positions=positions,
        pair=pair,
        order=order,
    )


def split_rows(batch: Batch, rows: int) -> Iterator[Batch]:
    """A batch in parts of so many rows; the last may have fewer."""
    names = [n for n in Batch.__slots__ if isinstance(getattr(batch, n), torch.Tensor)]
    for start in range(0, len(batch.input_ids), rows):
        yield replace(batch, **{n: getattr(batch, n)[start : start + rows] for n in names})
