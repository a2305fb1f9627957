"""Windows over units: every unit is answered for once, where it is read with most context."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.tasks.units import Window, plan

LENGTHS = st.lists(st.integers(1, 12), max_size=80)
CAPACITY = st.integers(12, 60)


@given(LENGTHS, CAPACITY)
def test_every_unit_is_owned_exactly_once_and_in_order(lengths, capacity):
    windows = plan(lengths, capacity)
    owned = [unit for w in windows for unit in range(w.own_start, w.own_end)]
    assert owned == list(range(len(lengths)))
    assert all(w.start <= w.own_start <= w.own_end <= w.end for w in windows)


@given(LENGTHS, CAPACITY)
def test_no_window_holds_more_than_its_capacity(lengths, capacity):
    """No window holds more tokens than its capacity and every one advances."""
    windows = plan(lengths, capacity)
    assert all(sum(lengths[w.start : w.end]) <= capacity for w in windows)
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(windows))


@given(LENGTHS, CAPACITY)
def test_a_unit_is_owned_where_it_is_farthest_from_a_cut(lengths, capacity):
    """A unit is owned by the window in which it is farthest from a cut."""
    windows = plan(lengths, capacity)

    def context(unit: int, w: Window) -> float:
        """Tokens to the nearer cut edge; the ends of the text are no cut."""
        left = sum(lengths[w.start : unit]) if w.start > 0 else float("inf")
        right = sum(lengths[unit + 1 : w.end]) if w.end < len(lengths) else float("inf")
        return min(left, right)

    for own in windows:
        for unit in range(own.own_start, own.own_end):
            assert context(unit, own) == max(
                context(unit, w) for w in windows if w.start <= unit < w.end
            )


def test_a_text_that_fits_is_one_window():
    assert plan([3, 4, 5], 12) == [Window(0, 3, 0, 3)]


def test_a_text_without_units_is_one_empty_window():
    assert plan([], 5) == [Window(0, 0, 0, 0)]


def test_neighbours_share_a_quarter_of_a_window():
    """Neighbours share a quarter of a window and split it in the middle."""
    first, second, *_ = plan([1] * 100, 40)
    assert (first.end, second.start) == (40, 30)
    assert first.own_end == second.own_start == 35


def test_a_unit_as_long_as_a_window_has_one_of_its_own():
    assert [(w.start, w.end) for w in plan([1, 8, 1], 8)] == [(0, 1), (1, 2), (2, 3)]


def test_a_unit_longer_than_a_window_is_named_by_its_position():
    with pytest.raises(ValueError, match=r"^2$"):
        plan([1, 2, 9, 1], 8)
