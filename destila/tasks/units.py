"""Windows over units: how a text longer than the encoder is read without losing a word.

A window is a run of consecutive units. Neighbouring windows overlap, and each unit in an overlap is
*owned* by the window in which it is farther from a cut edge, so every unit is answered for exactly
once:

    units                0 1 2 3 4 5 6 7
    first window reads   0 1 2 3 4          and owns 0 1 2 3
    second window reads        3 4 5 6 7    and owns 4 5 6 7
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True)
class Window:
    """Units [start, end) are read, units [own_start, own_end) are answered for."""

    start: int
    end: int
    own_start: int
    own_end: int


def cut_units(lengths: Sequence[int], capacity: int) -> tuple[np.ndarray, list[int]]:
    """Cut units that are longer than a window to half of one, so that neighbours stand beside them.

    Args:
        lengths: tokens of each unit, whose tokens follow each other.
        capacity: tokens that a window holds at most.

    Returns:
        Which tokens are left, bool [T], and how many each unit then has.
    """
    most = max(1, capacity // 2)
    kept = [most if length > capacity else length for length in lengths]

    # where each token stands in its unit
    sizes = np.array(lengths)  # [U]
    inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # [T]
    return inside < np.repeat(kept, sizes), kept


def first_tokens(unit: np.ndarray) -> np.ndarray:
    """Return the position of the first token of every unit of a window, i64 [U].

    Args:
        unit: of each token, i32 [L]: rising, -1 for specials.
    """
    begins = np.empty(len(unit), bool)
    begins[:1] = unit[:1] >= 0
    np.greater(unit[1:], unit[:-1], out=begins[1:])
    return np.flatnonzero(begins)


def plan(lengths: Sequence[int], capacity: int, *, overlap: float = 0.25) -> list[Window]:
    """Plan windows that cover all units.

    Args:
        lengths: tokens of each unit.
        capacity: tokens that a window holds at most.
        overlap: share of a window's tokens that the next one reads again.

    Raises:
        ValueError: a unit is longer than the capacity; it holds the unit's position.
    """
    # most texts fit
    if sum(lengths) <= capacity:
        return [Window(0, len(lengths), 0, len(lengths))]
    for position, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(position)

    # what each window reads, and in the middle of each overlap the cut between two owners
    bounds = _bounds(lengths, capacity, overlap)
    overlaps = [(later[0], earlier[1]) for earlier, later in pairwise(bounds)]
    cuts = [0, *(_middle(lengths, start, end) for start, end in overlaps), len(lengths)]
    return [Window(s, e, cuts[i], cuts[i + 1]) for i, (s, e) in enumerate(bounds)]


def _bounds(lengths: Sequence[int], capacity: int, overlap: float) -> list[tuple[int, int]]:
    """Plan the units [start, end) that each window reads; the arguments are those of `plan`."""
    bounds: list[tuple[int, int]] = []
    start = 0
    while True:
        # as many units as fit
        end, used = start, 0
        while end < len(lengths) and used + lengths[end] <= capacity:
            used += lengths[end]
            end += 1
        bounds.append((start, end))
        if end >= len(lengths):
            return bounds

        # go back by an overlap, behind which the next unit must still fit, or nothing would advance
        back, again = end, 0
        room = min(int(overlap * capacity), capacity - lengths[end])
        while back > start + 1 and again + lengths[back - 1] <= room:
            back -= 1
            again += lengths[back]
        start = back


def _middle(lengths: Sequence[int], start: int, end: int) -> int:
    """Find the unit in the middle of [start, end), by tokens.

    It is the first one with at least as many tokens of the range before it as behind it.
    """
    total, seen = sum(lengths[start:end]), 0
    for position in range(start, end):
        if 2 * seen + lengths[position] >= total:
            return position
        seen += lengths[position]
    return end
