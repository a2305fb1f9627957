"""Features -> padded batches: in a seeded order, of like lengths, the teacher's rows beside them.

The order depends on (seed, epoch) alone, so a run can be resumed at any batch, and every process of
a data-parallel run derives the same global order and takes a slice of each global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from destila.models.attention import find_runs
from destila.training.options import TrainOptions
from destila.types import ABSENT, IGNORE, Batch, Features, Signal

TeacherLogits = Callable[[Features], np.ndarray]
"""The teacher's logits [U, C] for the units of a window; ABSENT or less where it lacks the unit."""


class StateSource(Protocol):
    """Where a teacher's inner states come from: a teacher that runs, or a cache."""

    def align_windows(self, batch: Batch) -> Batch:
        """Add which positions count, on the CPU, before any model runs."""

    def fetch(self, batch: Batch) -> Batch:
        """Add the teacher's states, on the batch's device."""


def epoch_batches(
    lengths: np.ndarray, options: TrainOptions, *, seed: int, epoch: int
) -> list[np.ndarray]:
    """Return the positions of every batch of one epoch.

    Windows are shuffled, then sorted by length inside groups of `options.group` batches to save
    padding (0: not sorted), then the batches are shuffled.

    Args:
        lengths: tokens of every window, i64 [N].
        options: its `batch_size`, `shuffle` and `group`.
        seed: of the order, together with the epoch.
        epoch: from 0.
    """
    positions = np.arange(len(lengths))
    if not options.shuffle:
        return _chunks(positions, options.batch_size)

    random = np.random.default_rng([seed, epoch])
    random.shuffle(positions)
    if not options.group:
        return _chunks(positions, options.batch_size)

    # batches of like lengths, group by group
    batches: list[np.ndarray] = []
    for group in _chunks(positions, options.batch_size * options.group):
        by_length = group[np.argsort(lengths[group], kind="stable")]
        batches += _chunks(by_length, options.batch_size)

    return [batches[i] for i in random.permutation(len(batches))]


def _chunks(positions: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut positions into runs of `size`; the last one may be shorter."""
    return [positions[i : i + size] for i in range(0, len(positions), size)]


def collate(
    features: Sequence[Features],
    pad_id: int,
    *,
    teacher: TeacherLogits | None = None,
    length: int = 0,
) -> Batch:
    """Return the padded batch of some windows.

    Args:
        features: one window a row.
        pad_id: the tokenizer's padding id.
        teacher: adds its Signal for the same units; None: no Signal.
        length: least tokens of a row.
    """
    # B rows, L tokens of the longest, U units of the richest, T targets of a window
    rows = len(features)
    tokens = max(length, max(len(f.input_ids) for f in features))
    units = max(1, max(len(f.owned) for f in features))
    targets = max(1, max(len(f.target) for f in features))

    input_ids = np.full((rows, tokens), pad_id, np.int64)  # [B, L]
    type_ids = np.zeros((rows, tokens), np.int64)  # [B, L]
    unit = np.full((rows, tokens), -1, np.int64)  # [B, L]
    mask = np.zeros((rows, tokens), bool)  # [B, L]
    first = np.zeros((rows, units), np.int64)  # [B, U]
    unit_mask = np.zeros((rows, units), bool)  # [B, U]
    target = np.full((rows, targets), IGNORE, np.int64)  # [B, T]

    for i, f in enumerate(features):
        here = len(f.input_ids)
        input_ids[i, :here] = f.input_ids
        type_ids[i, :here] = f.type_ids
        unit[i, :here] = f.unit
        mask[i, :here] = True
        target[i, : len(f.target)] = f.target

        # a unit counts where this window owns it and holds a token of it
        numbers, places = np.unique(f.unit, return_index=True)
        real = numbers >= 0
        first[i, numbers[real]] = places[real]
        unit_mask[i, numbers[real]] = True
        unit_mask[i, : len(f.owned)] &= f.owned

    batch = Batch(
        features=features,
        input_ids=torch.from_numpy(input_ids),
        mask=torch.from_numpy(mask),
        type_ids=torch.from_numpy(type_ids),
        unit=torch.from_numpy(unit),
        first=torch.from_numpy(first),
        unit_mask=torch.from_numpy(unit_mask),
        target=torch.from_numpy(target),
    )
    if teacher is None:
        return batch
    return replace(batch, teacher=_teacher_signal(batch, [teacher(f) for f in features]))


def _teacher_signal(batch: Batch, rows: Sequence[np.ndarray]) -> Signal:
    """Pad a teacher's logits [U, C] of each window to those of the batch, [B, U, C]."""
    logits = np.zeros((*batch.unit_mask.shape, rows[0].shape[1]), np.float32)
    for i, row in enumerate(rows):
        logits[i, : len(row)] = row
    present = torch.from_numpy(logits.max(-1) > ABSENT)  # [B, U]
    return Signal(torch.from_numpy(logits), batch.unit_mask & present)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device; itself when it is there already.

    On its way to a GPU it is looked up what would have to be waited for there. A teacher's inner
    states are left to their StateSource.
    """
    if batch.input_ids.device == device or device.type == "cpu":  # batches are made on the CPU
        return batch

    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    batch = batch if batch.places else look_up(batch)
    places = {
        name: each if name == "longest" else moved(each) for name, each in batch.places.items()
    }
    batch = replace(map_tensors(batch, moved), places=places)
    if batch.teacher is None:
        return batch
    return replace(batch, teacher=Signal(moved(batch.teacher.logits), moved(batch.teacher.mask)))


def look_up(batch: Batch) -> Batch:
    """Return a batch on the CPU with its `places`, which it keeps on a GPU.

    starts, longest: `attention.find_runs`. unit_mask, order: i64 [N], among all B x L tokens, where
    a masked language model is asked for a piece and for an order.
    """
    places = find_runs(batch.mask, batch.pair)
    if batch.unit_mask.shape == batch.mask.shape:
        places["unit_mask"] = batch.unit_mask.flatten().nonzero().flatten()
    if batch.order is not None:
        places["order"] = (batch.order != IGNORE).flatten().nonzero().flatten()
    return replace(batch, places=places)


def ready(batch: Batch, device: torch.device) -> Batch:
    """Return a batch ready to go: for a GPU looked up, in memory that is copied meanwhile."""
    if device.type != "cuda":
        return batch
    batch = look_up(batch)
    places = {name: each.pin_memory() for name, each in batch.places.items()}
    batch = replace(map_tensors(batch, Tensor.pin_memory), places=places)
    if batch.teacher is None:
        return batch
    logits, mask = batch.teacher.logits, batch.teacher.mask
    return replace(batch, teacher=Signal(logits.pin_memory(), mask.pin_memory()))


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Return the batch with each of its own tensors changed; a teacher's are left as they are."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    changed: dict[str, Any] = {
        name: change(value) for name, value in values.items() if isinstance(value, Tensor)
    }
    return replace(batch, **changed)
