from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.errors import DataError
from destila.report.drawing.pareto import (
    Point,
    distances,
    front,
    hypervolume,
    knee,
    lost_per_halving,
    retained_at,
)

# Coarse values make ties and beaten points common; the fine ones are what is measured.
SCORES = st.one_of(st.integers(0, 10).map(lambda i: i / 10), st.floats(0, 1))
COSTS = st.one_of(st.integers(1, 8).map(float), st.floats(1e-3, 1e3))
POINTS = st.lists(st.builds(Point, st.just("m"), SCORES, COSTS), max_size=12)

TEACHER, A, B, C = (
    Point("teacher", 0.90, 16),
    Point("A", 0.86, 4),
    Point("B", 0.80, 2),
    Point("C", 0.84, 8),
)
EXAMPLE = [TEACHER, C, B, A]  # the worked example of docs/reference/tradeoff.md


def beats(a, b):
    return a.cost <= b.cost and a.score >= b.score and (a.cost < b.cost or a.score > b.score)


def area_by_cells(points, score, cost):
    """The hypervolume counted cell by cell of the grid that the points' own coordinates make."""
    better = [
        (math.log2(cost / p.cost), p.score - score)
        for p in points
        if p.cost < cost and p.score > score
    ]
    xs, ys = (
        sorted({0.0, *values}) for values in (zip(*better, strict=True) if better else ((), ()))
    )
    return sum(
        (right - left) * (top - bottom)
        for left, right in itertools.pairwise(xs)
        for bottom, top in itertools.pairwise(ys)
        if any(u >= right and v >= top for u, v in better)
    )


@given(POINTS)
def test_the_front_is_what_no_point_beats(points):
    kept = front(points)
    assert not [p for p in kept for q in points if beats(q, p)]
    assert all(
        any(beats(q, p) or (q.cost, q.score) == (p.cost, p.score) for q in kept) for p in points
    )


@given(POINTS)
def test_the_front_goes_from_cheap_to_good(points):
    kept = front(points)
    assert all(a.cost < b.cost and a.score < b.score for a, b in itertools.pairwise(kept))


@given(POINTS, SCORES, COSTS)
def test_the_hypervolume_is_the_area_of_the_union(points, score, cost):
    assert hypervolume(points, score=score, cost=cost) == pytest.approx(
        area_by_cells(points, score, cost), abs=1e-9
    )


@given(POINTS, st.builds(Point, st.just("new"), SCORES, COSTS), SCORES, COSTS)
def test_a_further_point_never_makes_the_hypervolume_smaller(points, new, score, cost):
    before = hypervolume(points, score=score, cost=cost)
    assert hypervolume([*points, new], score=score, cost=cost) >= before - 1e-12


@given(
    st.lists(st.builds(Point, st.just("m"), SCORES, st.integers(1, 64).map(float)), max_size=12),
    st.integers(-6, 6),
)
def test_the_unit_of_the_cost_does_not_matter(points, power):
    scaled = [Point(p.name, p.score, p.cost * 2.0**power) for p in points]
    here = hypervolume(points, score=0.3, cost=32)
    assert hypervolume(scaled, score=0.3, cost=32 * 2.0**power) == pytest.approx(here)
    assert [p.score for p in front(scaled)] == [p.score for p in front(points)]
    assert [d for _, d in distances(scaled)] == pytest.approx([d for _, d in distances(points)])


@given(POINTS)
def test_the_knee_is_farthest_from_the_chord(points):
    """The knee is on the front inside its ends and farthest from the chord."""
    bend, measured = knee(points), distances(points)
    if bend is None:
        assert all(d <= 1e-12 for _, d in measured)
    else:
        assert bend in front(points)[1:-1]
        assert max(measured, key=lambda pair: pair[1])[0] == bend


def test_the_worked_example():
    assert [p.name for p in front(EXAMPLE)] == ["B", "A", "teacher"]
    assert hypervolume(EXAMPLE, score=0.70, cost=16) == pytest.approx(0.42)
    assert hypervolume(EXAMPLE, score=0.0, cost=16) == pytest.approx(2.52)
    assert knee(EXAMPLE) == A
    assert {p.name: d for p, d in distances(EXAMPLE)}["A"] == pytest.approx(
        (2 / 3 + 0.6 - 1) / math.sqrt(2)
    )
    shares = [retained_at(EXAMPLE, TEACHER, factor) for factor in (2, 4, 8)]
    assert shares == pytest.approx([0.86 / 0.9, 0.86 / 0.9, 0.80 / 0.9])
    assert retained_at(EXAMPLE, TEACHER, 16) is None
    assert [lost_per_halving(p, TEACHER) for p in (A, B, C)] == pytest.approx(
        [0.0222, 0.0370, 0.0667], abs=1e-4
    )


def test_a_front_on_its_chord_has_no_knee():
    assert knee([Point("a", 0.1, 1), Point("b", 0.2, 2), Point("c", 0.3, 4)]) is None
    assert knee([Point("a", 0.1, 1), Point("b", 0.2, 2)]) is None


def test_a_student_that_beats_its_teacher_has_a_gain():
    """A student that beats its teacher loses less than nothing."""
    assert lost_per_halving(Point("s", 0.99, 4), TEACHER) == pytest.approx(-0.05)
    assert lost_per_halving(Point("slow", 0.99, 16), TEACHER) is None


def test_nothing_is_divided_by_a_teacher_that_scores_nothing():
    zero = Point("teacher", 0.0, 16)
    assert (lost_per_halving(A, zero), retained_at([A], zero, 2)) == (None, None)


@pytest.mark.parametrize(
    ("score", "cost"), [(0.5, 0.0), (0.5, -1.0), (math.nan, 1.0), (0.5, math.inf)]
)
def test_a_point_needs_a_finite_score_and_a_positive_cost(score, cost):
    """A point without a finite score and a positive cost is refused."""
    with pytest.raises(DataError, match="'m': score"):
        Point("m", score, cost)
