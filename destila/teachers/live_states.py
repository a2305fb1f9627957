"""A teacher that runs beside the student, for what is too large to cache: hidden states, attention.

Where both read the same tokens they share the student's batch. Where they do not, the teacher reads
the same examples in windows of its own tokens, and the two meet at units, looked up by their number
in the example: windows need not agree. The teacher is in evaluation mode, without gradients, and
under the student's autocast.

    student's units     row 0: unit 4, unit 5     row 1: unit 0
    teacher's units     row 0: unit 3, unit 4     row 1: unit 0, unit 1
    place               1, -1                     2              among the teacher's, counted from 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from destila.losses.pool import pool_states
from destila.losses.term import ModelShape
from destila.training.batches import collate, to_device
from destila.types import Batch, Features, Signal, State, TeacherStates

StatesByPool = Mapping[str, Sequence[State]]
"""The states that a loss compares, by pool: `WeightedLoss.teacher_states`."""


class LiveStates:
    """The StateSource of a teacher that is run on every batch."""

    def __init__(
        self,
        model: nn.Module,
        wanted: StatesByPool,
        *,
        whole: bool,
        windows: Sequence[Features] | None = None,
        pad_id: int = 0,
        signal: bool = False,
    ) -> None:
        """Put a teacher into evaluation mode and index its windows.

        Args:
            model: `forward(batch, *, states) -> Output`.
            wanted: the states that the loss compares.
            whole: whether the example is the only unit (classification).
            windows: the teacher's own of the same examples; None: it reads the student's tokens.
            pad_id: the padding id of those windows.
            signal: whether its logits come with its states: those of a masked language model are
                too large to cache.
        """
        self.model, self.wanted, self.whole, self.signal = model.eval(), wanted, whole, signal
        self._windows, self._pad_id = windows, pad_id
        self._windows_of: dict[int, list[int]] = {}  # by example
        for i, window in enumerate(windows or ()):
            self._windows_of.setdefault(window.row, []).append(i)

    def align_windows(self, batch: Batch) -> Batch:
        """Add which positions count, and the teacher's own windows where its tokens are others."""
        if self._windows is None:
            return self._align_same_tokens(batch)

        # a unit has the same number in both, whichever tokenizer cut the windows
        numbers = batch_unit_numbers(batch)  # [B * U]
        own = collate(self._windows_with(batch, numbers), self._pad_id)  # B' windows
        own_numbers = batch_unit_numbers(own)  # [B' * U']

        # look every unit up; stable, so that of a unit in two windows the first one speaks
        order = np.argsort(own_numbers, kind="stable")  # [B' * U']
        in_order = own_numbers[order]
        candidate = np.searchsorted(in_order, numbers).clip(max=len(order) - 1)  # [B * U]
        known = (in_order[candidate] == numbers) & (numbers >= 0)
        flat = np.where(known, order[candidate], -1)  # [B * U]

        place = torch.from_numpy(flat.reshape(tuple(batch.unit_mask.shape)))  # [B, U]
        masks = dict.fromkeys(self.wanted, place >= 0)
        return replace(batch, teacher_states=TeacherStates(masks, batch=own, place=place))

    def _align_same_tokens(self, batch: Batch) -> Batch:
        """Add which positions count where both models read the student's batch."""
        units = batch.unit_mask
        if self.signal:
            # logits [1, N, 0] of the N units asked for: how many is known before the values are
            count = int(units.sum())
            every = torch.ones(1, count, dtype=torch.bool)
            batch = replace(batch, teacher=Signal(torch.zeros(1, count, 0), every))

        masks = {
            "token": batch.mask,
            "padded": torch.ones_like(batch.mask),
            "first": units,
            "mean": units,
        }
        return replace(
            batch, teacher_states=TeacherStates({pool: masks[pool] for pool in self.wanted})
        )

    def _windows_with(self, batch: Batch, numbers: np.ndarray) -> list[Features]:
        """Return the teacher's windows that hold a unit of the batch; one where none does."""
        assert self._windows is not None
        rows = sorted({window.row for window in batch.features})
        numbers_of_rows = chain.from_iterable(self._windows_of[row] for row in rows)
        windows = [self._windows[i] for i in numbers_of_rows]
        needed = set(numbers.tolist())
        useful = [w for w in windows if not needed.isdisjoint(_global_numbers(w).tolist())]
        return useful or windows[:1]

    def fetch(self, batch: Batch) -> Batch:
        """Run the teacher and add its states, on the batch's device."""
        aligned, device = batch.teacher_states, batch.input_ids.device
        assert aligned is not None, "a batch is aligned before its states are fetched"
        if next(self.model.parameters()).device != device:
            self.model.to(device)

        # the windows that the teacher reads, and the places of the student's units in them
        windows = batch if aligned.batch is None else to_device(aligned.batch, device)
        place = None if aligned.place is None else aligned.place.to(device)  # [B, U]
        wanted = dict.fromkeys(chain.from_iterable(self.wanted.values()))  # each state once

        with torch.no_grad():
            output = self.model(windows, states=tuple(wanted))
            values = {("logits", 0): output.logits, **output.states}
            states = {
                pool: {
                    state: self._at_positions(values[state], windows, place, pool) for state in each
                }
                for pool, each in self.wanted.items()
            }

        if self.signal:
            every = torch.ones(output.logits.shape[:2], dtype=torch.bool, device=device)
            batch = replace(batch, teacher=Signal(output.logits, every))
        masks = {pool: mask.to(device) for pool, mask in aligned.masks.items()}
        return replace(batch, teacher_states=TeacherStates(masks, states))

    def _at_positions(
        self, value: Tensor, windows: Batch, place: Tensor | None, pool: str
    ) -> Tensor:
        """Return a state [B', L', ...] at the positions of the student's batch, [B, P, ...]."""
        if pool in ("token", "padded"):
            return value
        value = pool_states(value, windows, pool, whole_example=self.whole)  # [B', U', H]
        if place is None:
            return value
        return value.flatten(0, 1)[place.clamp(min=0)]  # [B, U, H]


def unit_numbers(window: Features) -> np.ndarray:
    """Return each unit's number in the example, i64 [U]; for questions, its cell."""
    if window.cells is not None:
        return window.cells.astype(np.int64)
    return window.start + np.arange(len(window.owned))


def batch_unit_numbers(batch: Batch) -> np.ndarray:
    """Return numbers i64 [B * U] that name example and unit; -1 where no unit counts.

    They are the same for every tokenizer.
    """
    numbers = np.full(tuple(batch.unit_mask.shape), -1, np.int64)  # [B, U]
    for i, window in enumerate(batch.features):
        own = _global_numbers(window)
        numbers[i, : len(own)] = own
    numbers[~batch.unit_mask.numpy()] = -1
    return numbers.reshape(-1)


def _global_numbers(window: Features) -> np.ndarray:
    """Return numbers i64 [U] of a window's units that no unit of another example has."""
    return (window.row << 32) + unit_numbers(window)


def live_megabytes(
    shape: ModelShape,
    params: int,
    wanted: StatesByPool,
    *,
    windows: int,
    tokens: int,
    units: int,
) -> dict[str, float]:
    """Estimate what a live teacher takes in MB (10^6 bytes) of float32: `weights` and `states`.

    To the states of one batch that are kept come those of the layer at work: its four products of
    H, its feed-forward part of 4 H, and its attention.

    Args:
        shape: of the teacher.
        params: its weights.
        wanted: the states that the loss compares.
        windows: of a batch.
        tokens: of a window.
        units: of a window.
    """
    kept = 0  # values of one window
    for pool, states in wanted.items():
        for kind, _ in states:
            is_map = kind in ("attention", "scores")
            kept += shape.heads * tokens**2 if is_map else tokens * shape.hidden
            if pool not in ("token", "padded"):
                kept += units * shape.hidden

    at_work = 8 * tokens * shape.hidden + shape.heads * tokens**2
    return {"weights": 4 * params / 1e6, "states": 4 * windows * (kept + at_work) / 1e6}
