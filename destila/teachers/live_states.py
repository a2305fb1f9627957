"""A teacher that runs beside the student, for what is too large to cache: hidden states, attention, queries.

Where both read the same tokens they share the student's batch. Where they do not, the teacher reads the same examples in
windows of its own tokens, and the two meet at units, found by their number in the example: windows need not agree.
The teacher is in evaluation mode, without gradients, and under the student's autocast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from destila.losses.pool import pool_states
from destila.losses.term import ModelShape
from destila.training.batches import collate, to_device
from destila.types import Batch, Features, Signal, State, TeacherStates

StatesByPool = Mapping[str, Sequence[State]]
"""The states that a loss compares, by pool: `Mix.teacher_states`."""


class LiveStates:
    """The StateSource into a teacher that is run on every batch.

    model: `forward(batch, *, states) -> Output`. whole: the example is the only unit (classification). windows: the
    teacher's own of the same examples, None where it reads the student's tokens; pad_id: its padding. signal: what it
    says of every unit comes with its states: a masked language model, whose logits are too large to cache.
    """

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
        self.model, self.wanted, self.whole, self.signal = model.eval(), wanted, whole, signal
        self._windows, self._pad_id = windows, pad_id
        self._at: dict[int, list[int]] = {}  # the teacher's windows of each example
        for i, window in enumerate(windows or ()):
            self._at.setdefault(window.row, []).append(i)

    def align_windows(self, batch: Batch) -> Batch:
        """The batch with the positions that count, and with the teacher's own windows where its tokens are others."""
        if self._windows is None:
            units = batch.unit_mask
            if self.signal:
                asked = int(units.sum())
                nothing = torch.zeros(1, asked, 0)
                batch = replace(
                    batch, teacher=Signal(nothing, torch.ones(1, asked, dtype=torch.bool))
                )
            every = {
                "token": batch.mask,
                "padded": torch.ones_like(batch.mask),
                "first": units,
                "mean": units,
            }
            return replace(
                batch, teacher_states=TeacherStates({pool: every[pool] for pool in self.wanted})
            )
        cells = batch_unit_numbers(batch)
        own = collate(self._reading(batch, cells), self._pad_id)
        known = batch_unit_numbers(own)
        order = np.argsort(
            known, kind="stable"
        )  # stable: of a unit in two windows the first one speaks
        place = np.searchsorted(known[order], cells).clip(max=len(order) - 1)
        found = np.where((known[order][place] == cells) & (cells >= 0), order[place], -1)
        at = torch.from_numpy(found.reshape(tuple(batch.unit_mask.shape)))
        return replace(
            batch,
            teacher_states=TeacherStates(dict.fromkeys(self.wanted, at >= 0), batch=own, place=at),
        )

    def _reading(self, batch: Batch, cells: np.ndarray) -> list[Features]:
        """The teacher's windows that hold a unit of the batch; one of them where none does."""
        assert self._windows is not None
        needed = set(cells.tolist())
        rows = sorted({f.row for f in batch.features})
        own = [self._windows[i] for row in rows for i in self._at[row]]
        return [
            f for f in own if not needed.isdisjoint(((f.row << 32) + unit_numbers(f)).tolist())
        ] or own[:1]

    def fetch(self, batch: Batch) -> Batch:
        """The batch with the teacher's states, on the batch's device."""
        inner, device = batch.teacher_states, batch.input_ids.device
        assert inner is not None, "a batch is aligned before the teacher is asked"
        if next(self.model.parameters()).device != device:
            self.model.to(device)
        read = batch if inner.batch is None else to_device(inner.batch, device)
        place = None if inner.place is None else inner.place.to(device)
        with torch.no_grad():
            said = self.model(
                read, states=tuple(dict.fromkeys(s for each in self.wanted.values() for s in each))
            )
            values = {("logits", 0): said.logits, **said.states}
            states = {
                pool: {state: self._placed(values[state], read, place, pool) for state in wanted}
                for pool, wanted in self.wanted.items()
            }
        masks = {pool: mask.to(device) for pool, mask in inner.masks.items()}
        if self.signal:
            said_of_all = torch.ones(said.logits.shape[:2], dtype=torch.bool, device=device)
            batch = replace(batch, teacher=Signal(said.logits, said_of_all))
        return replace(batch, teacher_states=TeacherStates(masks, states))

    def _placed(self, value: Tensor, read: Batch, place: Tensor | None, pool: str) -> Tensor:
        if pool in ("token", "padded"):
            return value
        value = pool_states(value, read, pool, whole_example=self.whole)
        return value if place is None else value.flatten(0, 1)[place.clamp(min=0)]


def unit_numbers(window: Features) -> np.ndarray:
    """The number in the example of each unit of a window, i64 [U]; for questions, its cell."""
    return (
        window.start + np.arange(len(window.owned))
        if window.cells is None
        else window.cells.astype(np.int64)
    )


def batch_unit_numbers(batch: Batch) -> np.ndarray:
    """A number i64 [B * U] that names example and unit, the same for every tokenizer; -1 where no unit counts."""
    found = np.full(tuple(batch.unit_mask.shape), -1, np.int64)
    for i, window in enumerate(batch.features):
        numbers = unit_numbers(window)
        found[i, : len(numbers)] = (window.row << 32) + numbers
    found[~batch.unit_mask.numpy()] = -1
    return found.reshape(-1)


def live_megabytes(
    shape: ModelShape, params: int, wanted: StatesByPool, *, windows: int, tokens: int, units: int
) -> dict[str, float]:
    """What a live teacher takes, in MB (10^6 bytes) of float32: `weights`, and `states` of one batch, about.

    windows, tokens, units: of the batch, tokens and units per window. To the states that are kept come those of the
    layer at work: its four products of H, its feed-forward part of 4 H, and its attention.
    """
    kept = 0
    for pool, states in wanted.items():
        for kind, _ in states:
            kept += (
                shape.heads * tokens**2
                if kind in ("attention", "scores")
                else tokens * shape.hidden
            )
            if pool not in ("token", "padded"):
                kept += units * shape.hidden
    at_work = 8 * tokens * shape.hidden + shape.heads * tokens**2
    return {"weights": 4 * params / 1e6, "states": 4 * windows * (kept + at_work) / 1e6}
