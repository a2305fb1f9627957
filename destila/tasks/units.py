"""Windows over units: how a text longer than the encoder is read without losing a word.

A window is a run of consecutive units. Neighbouring windows overlap, and each unit in an overlap is *owned*
by the window in which it is farther from a cut edge, so every unit is answered for exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Units [start, end) are read, units [own_start, own_end) are answered for."""

    start: int
    end: int
    own_start: int
    own_end: int


def plan(lengths: Sequence[int], capacity: int, *, overlap: float = 0.25) -> list[Window]:
    """Plan windows that cover units of the given token lengths with at most `capacity` tokens each.

    overlap: share of a window's tokens read again by the next one. Raises ValueError holding the position
    of a unit longer than the capacity.
    """
    for position, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(position)
    bounds = _bounds(lengths, capacity, overlap)
    cuts = (
        [0]
        + [_middle(lengths, bounds[i + 1][0], bounds[i][1]) for i in range(len(bounds) - 1)]
        + [len(lengths)]
    )
    return [Window(s, e, cuts[i], cuts[i + 1]) for i, (s, e) in enumerate(bounds)]


def _bounds(lengths: Sequence[int], capacity: int, overlap: float) -> list[tuple[int, int]]:
    bounds: list[tuple[int, int]] = []
    start = 0
    while True:
        end, used = start, 0
        while end < len(lengths) and used + lengths[end] <= capacity:
            used += lengths[end]
            end += 1
        bounds.append((start, end))
        if end >= len(lengths):
            return bounds
        back, again = end, 0
        # the next unit must still fit behind the overlap, or the window would not advance
        room = min(int(overlap * capacity), capacity - lengths[end])
        while back > start + 1 and again + lengths[back - 1] <= room:
            back -= 1
            again += lengths[back]
        start = back


def _middle(lengths: Sequence[int], start: int, end: int) -> int:
    """Return the first unit of [start, end) with at least as many of its tokens before it as after it."""
    total, seen = sum(lengths[start:end]), 0
    for position in range(start, end):
        if 2 * seen + lengths[position] >= total:
            return position
        seen += lengths[position]
    return end
