"""Hidden states of a teacher on disk, in half precision: asked once, read by every epoch and student.

A row of the cache holds, for every position of an example, the wanted layers side by side: [P, layers * H]. Positions
are the example's units, or, where both models read the same tokens, the tokens of its windows one after another. A unit
that a question's window in parts holds twice has the states of the first part.
Attention and queries are not cached: they grow with the square of the length, or are three times as wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from destila.teachers.cache import PredictRows, RowsView
from destila.teachers.live_states import LiveStates, StatesByPool, unit_numbers
from destila.training.batches import collate, to_device
from destila.training.predict import batches_by_length
from destila.types import ABSENT, Batch, Encoded, Example, Features, State, TeacherStates

BYTES_PER_VALUE = 2
"""Of a number in half precision."""

_POSITIONS = ("token", "first", "mean")


def can_cache(wanted: StatesByPool) -> bool:
    """Whether everything that a loss compares can be cached."""
    return all(
        pool in _POSITIONS and all(kind == "hidden" for kind, _ in states)
        for pool, states in wanted.items()
    )


def state_unit(rule: str, pool: str, states: Sequence[State]) -> str:
    """The `unit` of a cache's spec: the task's rule, the positions and the layers."""
    return f"{rule}; hidden {' '.join(str(layer) for _, layer in states)}, {pool}"


def cached_megabytes(windows: Sequence[Features], wanted: StatesByPool, width: int) -> float:
    """What caching the wanted states of some windows takes, in MB (10^6 bytes)."""
    tokens = units = 0
    for window in windows:
        tokens += len(window.input_ids)
        units += int(window.owned.sum())
    return sum(
        (tokens if pool == "token" else units) * len(states) * width * BYTES_PER_VALUE / 1e6
        for pool, states in wanted.items()
    )


def state_predictor(
    model: nn.Module,
    encode: Callable[[Sequence[Example]], Encoded],
    pool: str,
    states: Sequence[State],
    *,
    whole: bool,
    pad_id: int,
) -> PredictRows:
    """What fills a cache: the states [P, layers * H] of each example, float32; ABSENT where no token holds a unit.

    encode: the teacher's windows of some examples.
    """
    live = LiveStates(model, {pool: tuple(states)}, whole=whole)

    def predict(examples: Sequence[Example]) -> list[np.ndarray]:
        windows = encode(examples).features
        device = next(model.parameters()).device
        said: list[np.ndarray] = [np.empty(0)] * len(windows)
        for chosen in batches_by_length(windows):
            batch = live.fetch(
                to_device(live.align_windows(collate([windows[i] for i in chosen], pad_id)), device)
            )
            assert batch.teacher_states is not None
            mask = batch.teacher_states.masks[pool]
            values = torch.cat(
                [batch.teacher_states.states[pool][state].float() for state in states], dim=-1
            )
            values = values.masked_fill(~mask.unsqueeze(-1), ABSENT)
            for i, value in zip(chosen, values.cpu().numpy(), strict=True):
                said[i] = value[
                    : len(windows[i].input_ids if pool == "token" else windows[i].owned)
                ]
        return _rows(len(examples), windows, said, pool)

    return predict


def _rows(
    count: int, windows: Sequence[Features], said: Sequence[np.ndarray], pool: str
) -> list[np.ndarray]:
    """One row per example from the positions of its windows."""
    parts: list[list[np.ndarray]] = [[] for _ in range(count)]
    numbers: list[list[np.ndarray]] = [[] for _ in range(count)]
    for window, value in zip(windows, said, strict=True):
        parts[window.row].append(value)
        numbers[window.row].append(unit_numbers(window))
    if pool == "token":
        return [np.concatenate(part) for part in parts]
    rows = []
    for part, number in zip(parts, numbers, strict=True):
        values, places = np.concatenate(part), np.concatenate(number)
        row = np.full((int(places.max()) + 1, values.shape[1]), ABSENT, np.float32)
        here = (
            values.max(-1) > ABSENT
        )  # of a unit in two windows, only the one that owns it says something
        row[places[here][::-1]] = values[here][::-1]  # and the first, where both do
        rows.append(row)
    return rows


class CachedStates:
    """The StateSource into cached hidden states.

    rows, states: by pool. windows: all of the student's; where positions are tokens, they are the teacher's too.
    """

    def __init__(
        self,
        rows: Mapping[str, RowsView],
        states: StatesByPool,
        *,
        windows: Sequence[Features],
        width: int,
    ) -> None:
        self._rows, self._states, self._width = rows, states, width
        self._start: dict[
            tuple[int, int, int], int
        ] = {}  # the first token of a window among its example's
        if "token" in rows:
            ends: dict[int, int] = {}
            for window in windows:
                start = ends.get(window.row, 0)
                self._start[window.row, window.window, window.start] = start
                ends[window.row] = start + len(window.input_ids)

    def align_windows(self, batch: Batch) -> Batch:
        """The batch with the teacher's states, on the CPU."""
        masks, states = {}, {}
        for pool, rows in self._rows.items():
            mask = (batch.mask if pool == "token" else batch.unit_mask).clone()
            values = np.zeros((*mask.shape, rows.classes), np.float32)
            for i, window in enumerate(batch.features):
                said = rows[window.row][self._positions(window, pool)]
                values[i, : len(said)] = said
            mask &= torch.from_numpy(values.max(-1) > ABSENT)
            each = torch.split(torch.from_numpy(values), self._width, dim=-1)
            masks[pool], states[pool] = mask, dict(zip(self._states[pool], each, strict=True))
        return replace(batch, teacher_states=TeacherStates(masks, states))

    def _positions(self, window: Features, pool: str) -> np.ndarray | slice:
        if pool != "token":
            return unit_numbers(window)
        start = self._start[window.row, window.window, window.start]
        return slice(start, start + len(window.input_ids))

    def fetch(self, batch: Batch) -> Batch:
        """The batch with its states on its own device."""
        inner, device = batch.teacher_states, batch.input_ids.device
        assert inner is not None, "a batch is aligned before its states are asked for"
        masks = {pool: mask.to(device) for pool, mask in inner.masks.items()}
        states = {
            pool: {state: value.to(device) for state, value in each.items()}
            for pool, each in inner.states.items()
        }
        return replace(batch, teacher_states=TeacherStates(masks, states))
