"""Rows of a corpus as a batch for masked language modelling."""

from __future__ import annotations

import numpy as np
import torch

from destila.text.packing import Row
from destila.types import IGNORE, Batch


def batch_of(rows: Row, target: np.ndarray, *, every: bool = False) -> Batch:
    """The batch of some rows after masking.

    target: i32 [R, L], the piece that was there at the chosen tokens, IGNORE elsewhere. every: ask the model at every
    real token, not only at the chosen ones.

    The published distillation of BETO compares teacher and student at every token (trap T7 of the fact sheet).
    """
    arrays = (rows.input_ids, target, rows.type_ids, rows.positions, rows.pair, rows.order)
    ids, wanted, types, positions, pair, order = (torch.from_numpy(array.astype(np.int64)) for array in arrays)
    mask = pair > 0
    return Batch(
        features=(),
        input_ids=ids,
        mask=mask,
        type_ids=types,
        unit=torch.arange(ids.shape[1]).expand_as(ids),
        first=torch.arange(ids.shape[1]).expand_as(ids),
        unit_mask=mask if every else wanted != IGNORE,
        target=wanted,
        positions=positions,
        pair=pair,
        order=order,
    )
