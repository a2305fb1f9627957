"""Score against cost: the Pareto front and what `docs/reference/tradeoff.md` defines on it.

A point has a score (higher is better) and a positive cost (milliseconds, bytes, MACs: lower is
better). Costs are compared by ratio, so the axes are the score s and u = log2(c_ref / c), the
halvings of the cost since a reference.

    hypervolume  E. Zitzler and L. Thiele, "Multiobjective optimization using evolutionary
                 algorithms", PPSN 1998
    knee         the point farthest from the chord between the ends of the front: I. Das, "On
                 characterizing the 'knee' of the Pareto curve", Structural Optimization 18, 1999
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from destila.errors import DataError


@dataclass(frozen=True, slots=True)
class Point:
    """A model as its score (ratio) and its cost (positive, one unit for all that is compared)."""

    name: str
    score: float
    cost: float

    def __post_init__(self) -> None:
        """Refuse what has no place in the figure."""
        if not (np.isfinite(self.score) and np.isfinite(self.cost) and self.cost > 0):
            raise DataError(
                f"'{self.name}': score {self.score} and cost {self.cost} must be finite, "
                "the cost positive"
            )


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points no other one beats, cheapest first, scores rising; of equals the first.

    A point is beaten by another that costs no more and scores no less, and is better in one of
    the two.
    """
    kept: list[Point] = []

    # Cheapest first, so a point is beaten exactly by an earlier one that scores no less.
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not kept or point.score > kept[-1].score:
            kept.append(point)
    return kept


def hypervolume(points: Sequence[Point], *, score: float, cost: float) -> float:
    """Return the area between the front and a reference, in score times halvings of the cost.

    It is the union of the rectangles [0, log2(cost / c)] x [0, s - score] of all points; a point
    that is not better than the reference in both adds nothing. 0 without such a point.

    Args:
        points: the models.
        score: of the reference.
        cost: of the reference.
    """
    # Beaten points lie inside the rectangles of others.
    better = front([p for p in points if p.score > score and p.cost < cost])

    # Each point of the front adds a strip: its gain in score over the next cheaper one.
    heights = np.diff([score, *(p.score for p in better)])
    widths = np.log2(cost / np.array([p.cost for p in better], dtype=np.float64))
    return float(heights @ widths)


def distances(points: Sequence[Point]) -> list[tuple[Point, float]]:
    """Return the front with each point's distance from the chord between its ends.

    Both axes are scaled to [0, 1]. Positive: outside the chord, a good trade. [] when the front has
    fewer than three points.
    """
    # Two points are the ends of the chord; a distance needs a third.
    kept = front(points)
    if len(kept) < 3:
        return []

    halvings = -np.log2([p.cost for p in kept])
    scores = np.array([p.score for p in kept])

    # To [0, 1]: cost falls from left to right, so that up and right is better.
    x = (halvings - halvings[-1]) / (halvings[0] - halvings[-1])
    y = (scores - scores[0]) / (scores[-1] - scores[0])
    return list(zip(kept, ((x + y - 1) / np.sqrt(2)).tolist(), strict=True))


def knee(points: Sequence[Point]) -> Point | None:
    """Return the point of the front farthest outside the chord; None when there is none outside."""
    # Rounding may leave a point on the chord a hair outside it.
    best = max(distances(points), key=lambda pair: pair[1], default=None)
    return best[0] if best and best[1] > 1e-12 else None


def retained_at(points: Sequence[Point], teacher: Point, factor: float) -> float | None:
    """Return the best share of the teacher's score at a saving of `factor`; None without one."""
    if not teacher.score:
        return None

    # The saving is a minimum: what is cheaper still counts too.
    cheap = [p for p in points if teacher.cost >= factor * p.cost]
    return max((p.score / teacher.score for p in cheap), default=None)


def lost_per_halving(point: Point, teacher: Point) -> float | None:
    """Return the share of the teacher's score a point gives up for each halving of the cost.

    Negative when it gains. None when it is not cheaper than the teacher, or the teacher scores 0.
    """
    if point.cost >= teacher.cost or not teacher.score:
        return None
    return (1 - point.score / teacher.score) / float(np.log2(teacher.cost / point.cost))
