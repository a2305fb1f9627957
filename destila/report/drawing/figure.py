"""Figures as inline SVG text: score against cost, learning curves, published scores beside ours.

Colours are classes that `template/page.css` fills from the palette of Okabe and Ito (2008), safe
for colour-blind readers; every role also has its own marker, and what matters is labelled directly.
400 units wide, so that text of 11 units stays legible on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

WIDTH = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 12, 38
_CHAR = 6.1  # mean advance of a label's letter, in units
_NEAR = 16  # units within which dots of one name share a label

Box = tuple[float, float, float, float]
"""left, top, right, bottom"""


@dataclass(frozen=True, slots=True)
class Dot:
    """A marked value: x, y in data units, its role (the marker), a label, a longer one on hover."""

    x: float
    y: float
    role: str
    label: str = ""
    hover: str = ""
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Ruler:
    """A named horizontal line at y: the teacher's ceiling, a baseline."""

    y: float
    role: str
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's values over steps; marked: with a marker at each value."""

    xs: Sequence[float]
    ys: Sequence[float]
    role: str
    marked: bool = True


@dataclass(frozen=True, slots=True)
class Scale:
    """Data -> units of the figure along one axis; `ticks` are data values."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[float, ...] = field(default=())

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        low, high, place = self.low, self.high, value
        if self.log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return self.start + (place - low) / (high - low) * (self.end - self.start)


def scatter(
    dots: Sequence[Dot],
    *,
    title: str,
    x_title: str,
    y_title: str,
    front: Sequence[tuple[float, float]] = (),
    lines: Sequence[Ruler] = (),
    knee: tuple[float, float] | None = None,
    height: int = 300,
) -> str:
    """Draw dots over a logarithmic cost axis.

    Args:
        dots: score over cost.
        title: for readers who cannot see the figure.
        x_title: of the cost.
        y_title: of the score.
        front: (cost, score) of the front, cheapest first; drawn as steps.
        lines: levels drawn across.
        knee: (cost, score) that is ringed.
        height: of the figure, in units.
    """
    # Room for markers and rings at both ends, so that none is cut off.
    x = log_scale([d.x for d in dots], _LEFT + 12, WIDTH - _RIGHT - 12)
    values = [*(d.y for d in dots), *(line.y for line in lines)]
    y = linear_scale(values, height - _BOTTOM, _TOP + 8)
    parts = [_frame(x, y, x_title, y_title, height)]

    # What labels must keep away from: dots, the front, the levels.
    taken: list[Box] = [(x(d.x) - 6, y(d.y) - 6, x(d.x) + 6, y(d.y) + 6) for d in dots]
    taken += _front_boxes(front, x, y)
    for line in lines:
        taken.append((_LEFT, y(line.y) - 1, WIDTH - _RIGHT, y(line.y) + 1))
        across = f'x1="{_LEFT}" x2="{WIDTH - _RIGHT}" {_level(y(line.y))}'
        parts.append(f'<line class="ruler {line.role}" {across}/>')

    # The front lies under the dots, so that it hides none.
    if front:
        parts.append(f'<polyline class="front" points="{_steps(front, x, y)}"/>')
    for d in dots:
        drawn = marker(d.role, x(d.x), y(d.y), d.hollow)
        parts.append(f"<g><title>{escape(d.hover or d.label)}</title>{drawn}</g>")
    if knee:
        parts.append(f'<circle class="ring" cx="{x(knee[0]):.1f}" cy="{y(knee[1]):.1f}" r="9"/>')

    # Labels come last, the levels' first: they have the fewest places to go.
    for line in lines:
        parts.append(_ruler_label(line, y(line.y), taken))
    named: list[tuple[str, float, float]] = []
    for d in sorted(dots, key=lambda d: -d.y):
        near = (n == d.label and math.hypot(a - x(d.x), b - y(d.y)) < _NEAR for n, a, b in named)
        if not any(near):  # a model's roles side by side share one label
            named.append((d.label, x(d.x), y(d.y)))
            parts.append(_dot_label(d.label, x(d.x), y(d.y), taken, height))
    return svg(parts, title, height)


def curves(
    runs: Sequence[Curve],
    *,
    title: str,
    x_title: str,
    y_title: str,
    y: tuple[float, float],
    log: bool = False,
    events: Sequence[tuple[float, str]] = (),
) -> str:
    """Draw values over steps, one line per run.

    Args:
        runs: the curves.
        title: for readers who cannot see the figure.
        x_title: of the steps.
        y_title: of the values.
        y: lowest and highest value, shared by the panels that are compared.
        log: whether the values' axis is logarithmic.
        events: upright lines, each an x and the role whose colour it has.
    """
    # Low panels: several stand below each other on a phone.
    height = 190
    steps = [v for curve in runs for v in curve.xs]
    x = linear_scale([0, *steps], _LEFT, WIDTH - _RIGHT - 6)
    up = (log_scale if log else linear_scale)(y, height - _BOTTOM, _TOP)
    parts = [_frame(x, up, x_title, y_title, height)]

    # Events lie under the curves.
    for step, role in events:
        upright = f'x1="{x(step):.1f}" x2="{x(step):.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"'
        parts.append(f'<line class="event {role}" {upright}/>')

    for curve in runs:
        places = [(x(a), up(b)) for a, b in zip(curve.xs, curve.ys, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline class="curve {curve.role}" points="{path}"/>')
        if curve.marked:
            parts += [marker(curve.role, a, b) for a, b in places]
    return svg(parts, title, height)


def strip(rows: Sequence[tuple[str, Sequence[Dot]]], *, title: str, x_title: str) -> str:
    """Draw one line per name, top to bottom, with its dots on a shared linear axis.

    Args:
        rows: names and their dots, whose y is not used.
        title: for readers who cannot see the figure.
        x_title: of the axis.
    """
    # Names stand left of the axis, one line of 17 units each.
    left, step = 126, 17
    height = len(rows) * step + _BOTTOM + 8
    values = [d.x for _, dots in rows for d in dots]
    x = linear_scale(values, left + 10, WIDTH - _RIGHT - 10)

    # Lines of the grid first, so that dots lie on them.
    parts = []
    for tick in x.ticks:
        upright = f'x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{height - _BOTTOM}"'
        parts.append(f'<line class="grid" {upright}/>')
        parts.append(label(x(tick), height - _BOTTOM + 14, _number(tick), "middle"))
    parts.append(label((left + WIDTH) / 2, height - 6, x_title, "middle"))

    for i, (name, dots) in enumerate(rows):
        middle = 12 + i * step
        kind = "own" if any(not d.hollow for d in dots) else ""

        # Longer names would run into the axis.
        short = name if len(name) < 21 else name[:19] + "…"
        parts.append(label(left, middle + 4, short, "end", kind))
        parts.append(f'<line class="grid" x1="{left + 4}" x2="{WIDTH - _RIGHT}" {_level(middle)}/>')
        for d in dots:
            drawn = marker(d.role, x(d.x), middle, d.hollow)
            parts.append(f"<g><title>{escape(d.hover or d.label)}</title>{drawn}</g>")
    return svg(parts, title, height)


def legend(role: str) -> str:
    """Draw a role's marker, for a legend in the text."""
    return f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{marker(role, 7, 7)}</svg>'


def legend_line(role: str) -> str:
    """Draw a piece of a curve, for a legend in the text."""
    drawn = f'<line class="curve {role}" x1="0" x2="28" y1="7" y2="7"/>'
    return f'<svg class="key wide" viewBox="0 0 28 14" aria-hidden="true">{drawn}</svg>'


def marker(role: str, x: float, y: float, hollow: bool = False) -> str:
    """Draw the marker of a role.

    A diamond for the teacher, a circle for distilled, a triangle for fine-tuned, a square for
    exported models, a cross for baselines.
    """
    # The shape tells roles apart without colour.
    kind = f'class="dot {role}{" hollow" if hollow else ""}"'
    if role == "teacher":
        return f'<path {kind} d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'
    if role == "finetuned":
        return f'<path {kind} d="M{x:.1f} {y - 5.5:.1f}l5.5 9.5h-11z"/>'
    if role == "exported":
        return f'<rect {kind} x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>'
    if role == "baseline":
        return f'<path {kind} d="M{x - 4.5:.1f} {y - 4.5:.1f}l9 9m0 -9l-9 9"/>'
    return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="4.8"/>'


def linear_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """Make a linear scale over the values, widened a little to round ticks inside."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    spread = high - low

    # One value, rounding apart, still needs a range around it.
    alone = spread <= max(1e-9 * max(abs(low), abs(high)), 1e-12)
    margin = (abs(high) * 0.05 or 1.0) if alone else 0.04 * spread
    low, high = low - (margin if low else 0), high + margin

    # About five ticks, at multiples of 1, 2 or 5 times a power of ten.
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    digits = max(0, 1 - math.floor(math.log10(step)))
    ticks = tuple(round(i * step, digits) for i in range(first, last + 1))
    return Scale(low, high, start, end, ticks=ticks)


def log_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """Make a logarithmic scale over positive values, ticks at 1, 2, 5 x 10^n."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if high / low < 1.5:
        low, high = low / 1.3, high * 1.3

    # Whole decades around the values; ticks outside the range are dropped.
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_values = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    ticks = [value for value in round_values if low <= value <= high]

    # A narrow range may hold no round value, a wide one too many: then decades alone.
    if len(ticks) < 2:
        ticks = [low * (high / low) ** share for share in (0.1, 0.5, 0.9)]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if round(math.log10(tick), 6) % 1 == 0]
    return Scale(low, high, start, end, log=True, ticks=tuple(ticks))


def _frame(x: Scale, y: Scale, x_title: str, y_title: str, height: int) -> str:
    """Draw both axes with their ticks and titles."""
    base, right = height - _BOTTOM, WIDTH - _RIGHT

    # Lines of the grid under everything else.
    parts = []
    for tick in y.ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" {_level(y(tick))}/>')
        parts.append(label(_LEFT - 5, y(tick) + 4, _number(tick), "end"))
    for tick in x.ticks:
        upright = f'x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{base}" y2="{base + 4}"'
        parts.append(f'<line class="tick" {upright}/>')
        parts.append(label(x(tick), base + 16, _number(tick), "middle"))

    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{base}" y2="{base}"/>')
    parts.append(label((_LEFT + right) / 2, height - 5, x_title, "middle"))
    turned = f'transform="translate(11 {(_TOP + base) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text class="label" text-anchor="middle" {turned}>{escape(y_title)}</text>')
    return "".join(parts)


def _steps(front: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """Write the corners of the front: level to the next cost, then up to its score."""
    # Between two points of the front one gets the cheaper one's score.
    corners = [f"{x(front[0][0]):.1f},{y(front[0][1]):.1f}"]
    for (_, before), (cost, score) in pairwise(front):
        corners += [f"{x(cost):.1f},{y(before):.1f}", f"{x(cost):.1f},{y(score):.1f}"]
    return " ".join(corners)


def _front_boxes(front: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[Box]:
    """Return the level and upright parts of the front, for labels to keep away from."""
    boxes: list[Box] = []
    for (start, before), (cost, score) in pairwise(front):
        boxes.append((x(start), y(before) - 1, x(cost), y(before) + 1))
        boxes.append((x(cost) - 1, y(score), x(cost) + 1, y(before)))
    return boxes


def _ruler_label(line: Ruler, y: float, taken: list[Box]) -> str:
    """Label a level on the end and side of it where there is room; the place is then taken."""
    width = _CHAR * len(line.label)

    # The left end, the right end, the middle; above the line or below it.
    lefts = (_LEFT + 4, WIDTH - _RIGHT - width - 2, (WIDTH - width) / 2)
    places: list[Box] = [
        (left, top, left + width, top + 12) for left in lefts for top in (y - 15, y + 3)
    ]
    best = _freest(places, taken)
    return label(best[0], best[3] - 2, line.label, "start", f"on {line.role}")


def _dot_label(text: str, x: float, y: float, taken: list[Box], height: int) -> str:
    """Label a dot at the place around it that hides least, with a thin line when it is far."""
    if not text:
        return ""
    text = text if len(text) <= 26 else text[:25] + "…"
    width = _CHAR * len(text)

    # Candidates: right of the dot, left of it, above and below, ever farther away.
    places: list[Box] = []
    for far in (0, 13, 26, 39, 52):
        for left in (x + 9, x - 9 - width, x - width / 2):
            if left == x - width / 2 and not far:
                continue  # that would lie on the dot
            places += [(left, top, left + width, top + 12) for top in (y - 6 - far, y - 6 + far)]

    # A label outside the axes would be cut off; one that hides something is still read.
    inside = [box for box in places if _inside(box, height)]
    best = _freest(inside or places, taken)

    # A label far away needs a line to its dot.
    lead = ""
    if abs((best[1] + best[3]) / 2 - y) > 14:
        end = min(max(x, best[0]), best[2])
        near = best[3] if best[3] < y else best[1]
        lead = f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{near:.1f}"/>'
    return lead + label(best[0], best[3] - 2, text, "start")


def _inside(box: Box, height: int) -> bool:
    """Tell whether a box lies within the axes of a figure."""
    left, top, right, bottom = box
    return left >= _LEFT and right <= WIDTH and top >= 0 and bottom <= height - _BOTTOM


def _freest(places: Sequence[Box], taken: list[Box]) -> Box:
    """Return the place that hides least of what is taken, and take it."""
    best = min(places, key=lambda box: sum(_overlap(box, other) for other in taken))
    taken.append(best)
    return best


def _overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    return width * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def label(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    """Draw a text at a place."""
    place = f'text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}"'
    return f'<text class="label {kind}" {place}>{escape(text)}</text>'


def _level(y: float) -> str:
    """Write the two ends of a level line."""
    return f'y1="{y:.1f}" y2="{y:.1f}"'


def _number(value: float) -> str:
    """Write a tick's number."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def svg(parts: Iterable[str], title: str, height: float) -> str:
    """Wrap the parts of a figure."""
    head = f'role="img" aria-label="{escape(title, quote=True)}" viewBox="0 0 {WIDTH} {height:g}"'
    return f"<svg {head}>{''.join(parts)}</svg>"
