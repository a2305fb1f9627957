"""Hidden states of a teacher on disk, in half precision: computed once, read by every student.

A row of the cache holds, for every position of an example, the wanted layers side by side: [P,
layers * H]. Positions are the example's units, or, where both models read the same tokens, the
tokens of its windows one after another. A unit that a question's window in parts holds twice has
the states of the first part. Attention and queries are not cached: they grow with the square of the
length, or are three times as wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import nn

from destila.teachers.cache import PredictRows, RowsView
from destila.teachers.live_states import LiveStates, StatesByPool, unit_numbers
from destila.training.batches import collate, to_device
from destila.training.precision import Precision, autocasting, precision_for
from destila.training.predict import batches_by_length
from destila.types import ABSENT, Batch, Encoded, Example, Features, State, TeacherStates

_BYTES_PER_VALUE = 2  # half precision
_POSITIONS = ("token", "first", "mean")


def can_cache(wanted: StatesByPool) -> bool:
    """Return whether everything that a loss compares can be cached."""
    states = chain.from_iterable(wanted.values())
    hidden = all(kind == "hidden" for kind, _ in states)
    return hidden and all(pool in _POSITIONS for pool in wanted)


def state_unit(rule: str, pool: str, states: Sequence[State]) -> str:
    """Return the `unit` of a cache's spec: the task's rule, the positions and the layers."""
    layers = " ".join(str(layer) for _, layer in states)
    return f"{rule}; hidden {layers}, {pool}"


def cached_megabytes(windows: Sequence[Features], wanted: StatesByPool, width: int) -> float:
    """Return what caching the wanted states of some windows takes, in MB (10^6 bytes).

    Args:
        windows: of all examples.
        wanted: the states, by pool.
        width: of a hidden state.
    """
    tokens = sum(len(window.input_ids) for window in windows)
    units = sum(int(window.owned.sum()) for window in windows)
    values = 0
    for pool, states in wanted.items():
        values += (tokens if pool == "token" else units) * len(states) * width
    return values * _BYTES_PER_VALUE / 1e6


def state_predictor(
    model: nn.Module,
    encode: Callable[[Sequence[Example]], Encoded],
    pool: str,
    states: Sequence[State],
    *,
    whole: bool,
    pad_id: int,
    precision: Precision | None = None,
) -> PredictRows:
    """Return a function that computes the states of examples, to fill a cache with.

    It gives [P, layers * H] per example, float32, ABSENT where no token holds a unit.

    Args:
        model: the teacher.
        encode: the teacher's windows of some examples.
        pool: what a position is.
        states: the hidden states to keep.
        whole: whether the example is the only unit.
        pad_id: the teacher's padding id.
        precision: of its products, and its device; None: float32 where it is.
    """
    precision = precision or precision_for("fp32", next(model.parameters()).device)
    live = LiveStates(model, {pool: tuple(states)}, whole=whole)

    def predict(examples: Sequence[Example]) -> list[np.ndarray]:
        windows = encode(examples).features
        device = precision.device
        model.to(device)

        rows: list[np.ndarray] = [np.empty(0)] * len(windows)  # one per window, [P, layers * H]
        for chosen in batches_by_length(windows):
            batch = live.align_windows(collate([windows[i] for i in chosen], pad_id))
            with precision.products(), autocasting(device, precision.autocast):
                batch = live.fetch(to_device(batch, device))
            assert batch.teacher_states is not None

            # layers side by side, ABSENT where a position does not count
            layers = [batch.teacher_states.states[pool][state].float() for state in states]
            values = torch.cat(layers, dim=-1)  # [B, P, layers * H]
            values = values.masked_fill(~batch.teacher_states.masks[pool].unsqueeze(-1), ABSENT)

            for i, value in zip(chosen, values.cpu().numpy(), strict=True):
                real = windows[i].input_ids if pool == "token" else windows[i].owned
                rows[i] = value[: len(real)]
        return _join_windows(len(examples), windows, rows, by_token=pool == "token")

    return predict


def _join_windows(
    count: int, windows: Sequence[Features], rows: Sequence[np.ndarray], *, by_token: bool
) -> list[np.ndarray]:
    """Join the rows of each example's windows into one row.

    Args:
        count: of examples.
        windows: of all examples.
        rows: per window, [P, D].
        by_token: whether positions are tokens, whose windows follow one another; else units.
    """
    parts: list[list[np.ndarray]] = [[] for _ in range(count)]
    numbers: list[list[np.ndarray]] = [[] for _ in range(count)]
    for window, row in zip(windows, rows, strict=True):
        parts[window.row].append(row)
        numbers[window.row].append(unit_numbers(window))
    if by_token:
        return [np.concatenate(part) for part in parts]

    joined = []
    for part, number in zip(parts, numbers, strict=True):
        values, places = np.concatenate(part), np.concatenate(number)  # [P, D], [P]
        row = np.full((int(places.max()) + 1, values.shape[1]), ABSENT, np.float32)  # [U, D]

        # only the window that owns a unit says something of it; the first one where both do
        here = values.max(-1) > ABSENT
        row[places[here][::-1]] = values[here][::-1]
        joined.append(row)
    return joined


class CachedStates:
    """The StateSource of cached hidden states."""

    def __init__(
        self,
        rows: Mapping[str, RowsView],
        states: StatesByPool,
        *,
        windows: Sequence[Features],
        width: int,
    ) -> None:
        """Take the rows of a cache for some windows.

        Args:
            rows: by pool, one row per example.
            states: by pool, what stands side by side in a row.
            windows: all of the student's; where positions are tokens, the teacher's too.
            width: of a hidden state.
        """
        self._rows, self._states, self._width = rows, states, width

        # by (example, window, first unit): the first token of a window among its example's
        self._first_token: dict[tuple[int, int, int], int] = {}
        ends: dict[int, int] = {}
        for window in windows if "token" in rows else ():
            start = ends.get(window.row, 0)
            self._first_token[window.row, window.window, window.start] = start
            ends[window.row] = start + len(window.input_ids)

    def align_windows(self, batch: Batch) -> Batch:
        """Add the teacher's states, on the CPU."""
        masks, states = {}, {}
        for pool, rows in self._rows.items():
            mask = batch.mask if pool == "token" else batch.unit_mask  # [B, P]
            values = np.zeros((*mask.shape, rows.classes), np.float32)  # [B, P, layers * H]
            for i, window in enumerate(batch.features):
                row = rows[window.row][self._positions(window, pool)]
                values[i, : len(row)] = row

            # a position counts where the teacher has it too
            present = torch.from_numpy(values.max(-1) > ABSENT)
            layers = torch.split(torch.from_numpy(values), self._width, dim=-1)  # each [B, P, H]
            masks[pool] = mask & present
            states[pool] = dict(zip(self._states[pool], layers, strict=True))
        return replace(batch, teacher_states=TeacherStates(masks, states))

    def _positions(self, window: Features, pool: str) -> np.ndarray | slice:
        """Return where a window's positions are in its example's row."""
        if pool != "token":
            return unit_numbers(window)
        start = self._first_token[window.row, window.window, window.start]
        return slice(start, start + len(window.input_ids))

    def fetch(self, batch: Batch) -> Batch:
        """Move the states to the batch's device."""
        aligned, device = batch.teacher_states, batch.input_ids.device
        assert aligned is not None, "a batch is aligned before its states are fetched"
        masks = {pool: mask.to(device) for pool, mask in aligned.masks.items()}
        states = {}
        for pool, values in aligned.states.items():
            states[pool] = {state: value.to(device) for state, value in values.items()}
        return replace(batch, teacher_states=TeacherStates(masks, states))
