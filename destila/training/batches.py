"""Features -> padded batches: shuffled length groups in a seeded order, and the teacher's rows beside them.

The order depends on (seed, epoch) alone, so a run can be resumed at any batch, and every process of a
data-parallel run derives the same global order and takes a slice of each global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from destila.types import ABSENT, IGNORE, Batch, Features, Signal

TeacherLogits = Callable[[Features], np.ndarray]
"""The teacher's logits [U, C] for the units of a window; ABSENT or less where the teacher does not have the unit."""


class StateSource(Protocol):
    """What shows the inside of a teacher."""

    def align(self, batch: Batch) -> Batch:
        """The batch with `inner`: which positions count is known here, before any model runs, on the CPU."""

    def ask(self, batch: Batch) -> Batch:
        """The batch with the teacher's states, on the batch's device."""


def order(
    lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int, shuffle: bool, group: int
) -> list[np.ndarray]:
    """Positions of every batch of one epoch.

    Shuffles, then sorts by length inside runs of `group` batches (0: no sorting), then shuffles the batches.
    """
    positions = np.arange(len(lengths))
    if not shuffle:
        return [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)]
    random = np.random.default_rng([seed, epoch])
    random.shuffle(positions)
    if not group:
        return [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)]
    run = batch_size * group
    batches: list[np.ndarray] = []
    for start in range(0, len(positions), run):
        block = positions[start : start + run]
        block = block[np.argsort(lengths[block], kind="stable")]
        batches += [block[i : i + batch_size] for i in range(0, len(block), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def collate(
    features: Sequence[Features],
    pad_id: int,
    *,
    teacher: TeacherLogits | None = None,
    length: int = 0,
) -> Batch:
    """The padded batch of some windows, at least `length` long; `teacher` adds its Signal for the same units."""
    size = len(features)
    longest = max(length, max(len(f.input_ids) for f in features))
    most_units = max(1, max(len(f.owned) for f in features))
    input_ids = np.full((size, longest), pad_id, np.int64)
    type_ids = np.zeros((size, longest), np.int64)
    unit = np.full((size, longest), -1, np.int64)
    mask = np.zeros((size, longest), bool)
    first = np.zeros((size, most_units), np.int64)
    unit_mask = np.zeros((size, most_units), bool)
    target = np.full((size, max(1, max(len(f.target) for f in features))), IGNORE, np.int64)
    for i, f in enumerate(features):
        tokens, units = len(f.input_ids), len(f.owned)
        input_ids[i, :tokens] = f.input_ids
        type_ids[i, :tokens] = f.type_ids
        unit[i, :tokens] = f.unit
        mask[i, :tokens] = True
        found, where = np.unique(f.unit, return_index=True)
        first[i, found[found >= 0]] = where[found >= 0]
        unit_mask[i, found[found >= 0]] = True
        unit_mask[i, :units] &= f.owned
        target[i, : len(f.target)] = f.target
    arrays = (input_ids, mask, type_ids, unit, first, unit_mask, target)
    ids, real, types, units_, firsts, owned, targets = (torch.from_numpy(a) for a in arrays)
    batch = Batch(features, ids, real, types, units_, firsts, owned, targets)
    return (
        replace(batch, teacher=_signal(features, batch, teacher)) if teacher is not None else batch
    )


def _signal(features: Sequence[Features], batch: Batch, teach: TeacherLogits) -> Signal:
    rows = [teach(f) for f in features]
    logits = np.zeros((*batch.unit_mask.shape, rows[0].shape[1]), np.float32)
    for i, row in enumerate(rows):
        logits[i, : len(row)] = row
    present = logits.max(-1) > ABSENT
    return Signal(torch.from_numpy(logits), batch.unit_mask & torch.from_numpy(present))


def to(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; itself when it is there already. A teacher's inner states are left to its StateSource."""
    if batch.input_ids.device == device or device.type == "cpu":  # batches are made on the CPU
        return batch
    moved = each_tensor(batch, lambda tensor: tensor.to(device, non_blocking=True))
    if batch.teacher is None:
        return moved
    return replace(
        moved, teacher=Signal(batch.teacher.logits.to(device), batch.teacher.mask.to(device))
    )


def each_tensor(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with each of its own tensors changed; a teacher's are left as they are."""
    whole = {f.name: getattr(batch, f.name) for f in fields(batch)}
    changed: dict[str, Any] = {
        name: change(value) for name, value in whole.items() if isinstance(value, Tensor)
    }
    return replace(batch, **changed)
