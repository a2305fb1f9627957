"""Parallel coordinates: an upright axis for each key, a line for each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from destila.report.drawing.figure import WIDTH, label, linear_scale, log_scale, svg

_HEIGHT = 240
_TOP, _BOTTOM = 16, 34
_MARGIN = 40
_WIDE = 30
"""Ratio of the ends of an axis from which it is logarithmic."""


@dataclass(frozen=True, slots=True)
class TrialAxis:
    """A name, and a value for every trial: numbers, or anything else as names."""

    name: str
    values: Sequence[Any]


def parallel(axes: Sequence[TrialAxis], *, best: int, title: str) -> str:
    """Draw trials as lines.

    Args:
        axes: at least two, with as many values as there are trials.
        best: the trial that is drawn strong.
        title: for readers who cannot see the figure.
    """
    # Axes at equal distances.
    step = (WIDTH - 2 * _MARGIN) / max(1, len(axes) - 1)
    xs = [_MARGIN + i * step for i in range(len(axes))]
    columns, parts = [], []
    for x, axis in zip(xs, axes, strict=True):
        places, ticks = _places(axis)
        columns.append(places)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
        parts += [label(x - 4, y + 4, text, "end") for y, text in ticks]
        parts.append(label(x, _HEIGHT - 12, axis.name, "middle"))

    # The best one last, over all others.
    order = [i for i in range(len(axes[0].values)) if i != best] + [best]
    for trial in order:
        points = " ".join(f"{x:.1f},{ys[trial]:.1f}" for x, ys in zip(xs, columns, strict=True))
        kind = "curve s0" if trial == best else "lead"
        parts.append(f'<polyline class="{kind}" fill="none" points="{points}"/>')
    return svg(parts, title, _HEIGHT)


def _places(axis: TrialAxis) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the height of each value, and the ticks: heights and texts."""
    base = _HEIGHT - _BOTTOM
    numbers = [v for v in axis.values if isinstance(v, (int, float)) and not isinstance(v, bool)]

    # Names stand at equal distances, in the order in which they come.
    if len(numbers) < len(axis.values):
        names = list(dict.fromkeys(str(value) for value in axis.values))
        gap = (base - _TOP) / max(1, len(names) - 1)
        heights = {name: base - i * gap for i, name in enumerate(names)}
        return [heights[str(value)] for value in axis.values], [
            (y, name[:18]) for name, y in heights.items()
        ]

    wide = min(numbers) > 0 and max(numbers) / min(numbers) >= _WIDE
    scale = (log_scale if wide else linear_scale)(numbers, base, _TOP)
    return [scale(v) for v in numbers], [(scale(tick), f"{tick:g}") for tick in scale.ticks]
