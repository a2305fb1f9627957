"""Figures as inline SVG text: score against cost, learning curves, published scores beside ours.

Colours are classes that `template/page.css` fills from the palette of Okabe and Ito (2008), safe for colour-blind
readers; every role also has its own marker, and what matters is labelled directly. 400 units wide, so that text of
11 units stays legible on a phone.
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
    """A marked value: x, y in data units, role (its marker), a label beside it, a longer one on hover."""

    x: float
    y: float
    role: str
    label: str = ""
    hover: str = ""
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Line:
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
        """The position of a value."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def scatter(
    dots: Sequence[Dot],
    *,
    title: str,
    x_title: str,
    y_title: str,
    front: Sequence[tuple[float, float]] = (),
    lines: Sequence[Line] = (),
    knee: tuple[float, float] | None = None,
    height: int = 300,
) -> str:
    """Dots over a logarithmic cost axis, the front as steps, lines across, the knee ringed."""
    x = log_scale([d.x for d in dots], _LEFT + 12, WIDTH - _RIGHT - 12)
    y = linear_scale(
        [*(d.y for d in dots), *(line.y for line in lines)], height - _BOTTOM, _TOP + 8
    )
    parts = [_frame(x, y, x_title, y_title, height)]
    taken: list[Box] = [(x(d.x) - 6, y(d.y) - 6, x(d.x) + 6, y(d.y) + 6) for d in dots]
    taken += _bars(front, x, y)
    for line in lines:
        taken.append((_LEFT, y(line.y) - 1, WIDTH - _RIGHT, y(line.y) + 1))
        parts.append(
            f'<line class="ruler {line.role}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" {_at(y(line.y))}/>'
        )
    if front:
        parts.append(f'<polyline class="front" points="{_steps(front, x, y)}"/>')
    for d in dots:
        parts.append(
            f"<g><title>{escape(d.hover or d.label)}</title>{marker(d.role, x(d.x), y(d.y), d.hollow)}</g>"
        )
    if knee:
        parts.append(f'<circle class="ring" cx="{x(knee[0]):.1f}" cy="{y(knee[1]):.1f}" r="9"/>')
    for line in lines:
        parts.append(_line_label(line, y(line.y), taken))
    named: list[tuple[str, float, float]] = []
    for d in sorted(dots, key=lambda d: -d.y):
        near = (n == d.label and math.hypot(a - x(d.x), b - y(d.y)) < _NEAR for n, a, b in named)
        if not any(near):  # a model's roles side by side share one label
            named.append((d.label, x(d.x), y(d.y)))
            parts.append(_label(d.label, x(d.x), y(d.y), taken, height))
    return _svg(parts, title, height)


def curves(
    found: Sequence[Curve],
    *,
    title: str,
    x_title: str,
    y_title: str,
    y: tuple[float, float],
    log: bool = False,
    events: Sequence[tuple[float, str]] = (),
) -> str:
    """Values over steps, one line per run; y: the range, shared by the panels that are compared.

    events: upright lines, each an x and the role whose colour it has.
    """
    height = 190
    steps = [v for curve in found for v in curve.xs]
    x = linear_scale([0, *steps], _LEFT, WIDTH - _RIGHT - 6)
    up = (log_scale if log else linear_scale)(y, height - _BOTTOM, _TOP)
    parts = [_frame(x, up, x_title, y_title, height)]
    for at_x, role in events:
        parts.append(
            f'<line class="event {role}" x1="{x(at_x):.1f}" x2="{x(at_x):.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>'
        )
    for curve in found:
        at = [(x(a), up(b)) for a, b in zip(curve.xs, curve.ys, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
        parts.append(f'<polyline class="curve {curve.role}" points="{path}"/>')
        parts += [marker(curve.role, a, b) for a, b in at if curve.marked]
    return _svg(parts, title, height)


def strip(rows: Sequence[tuple[str, Sequence[Dot]]], *, title: str, x_title: str) -> str:
    """One line per name, top to bottom, with its dots (their y is not used) on a shared linear axis."""
    left, step = 126, 17
    height = len(rows) * step + _BOTTOM + 8
    x = linear_scale([d.x for _, dots in rows for d in dots], left + 10, WIDTH - _RIGHT - 10)
    parts = []
    for tick in x.ticks:
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{height - _BOTTOM}"/>'
        )
        parts.append(_text(x(tick), height - _BOTTOM + 14, _number(tick), "middle"))
    parts.append(_text((left + WIDTH) / 2, height - 6, x_title, "middle"))
    for i, (name, dots) in enumerate(rows):
        middle = 12 + i * step
        bold = "own" if any(not d.hollow for d in dots) else ""
        parts.append(
            _text(left, middle + 4, name if len(name) < 21 else name[:19] + "…", "end", bold)
        )
        parts.append(f'<line class="grid" x1="{left + 4}" x2="{WIDTH - _RIGHT}" {_at(middle)}/>')
        for d in dots:
            drawn = marker(d.role, x(d.x), middle, d.hollow)
            parts.append(f"<g><title>{escape(d.hover or d.label)}</title>{drawn}</g>")
    return _svg(parts, title, height)


def legend(role: str) -> str:
    """A small picture of a role's marker, for a legend in the text."""
    return f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{marker(role, 7, 7)}</svg>'


def legend_line(role: str) -> str:
    """A small picture of a curve, for a legend in the text."""
    drawn = f'<line class="curve {role}" x1="0" x2="28" y1="7" y2="7"/>'
    return f'<svg class="key wide" viewBox="0 0 28 14" aria-hidden="true">{drawn}</svg>'


def marker(role: str, x: float, y: float, hollow: bool = False) -> str:
    """The marker of a role: diamond teacher, circle distilled, triangle fine-tuned, square exported, cross baseline."""
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
    """A linear scale over the values, widened a little to round ticks inside."""
    found = list(values)
    low, high = min(found), max(found)
    spread = high - low
    alone = spread <= max(1e-9 * max(abs(low), abs(high)), 1e-12)  # rounding apart, one value
    margin = (abs(high) * 0.05 or 1.0) if alone else 0.04 * spread
    low, high = low - (margin if low else 0), high + margin
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step)
    digits = max(0, 1 - math.floor(math.log10(step)))
    ticks = tuple(round(i * step, digits) for i in range(first, math.floor(high / step) + 1))
    return Scale(low, high, start, end, ticks=ticks)


def log_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """A logarithmic scale over positive values, ticks at 1, 2, 5 x 10^n."""
    found = list(values)
    low, high = min(found), max(found)
    if high / low < 1.5:
        low, high = low / 1.3, high * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if len(ticks) < 2:
        ticks = [low * (high / low) ** share for share in (0.1, 0.5, 0.9)]
    if len(ticks) > 7:
        ticks = [t for t in ticks if round(math.log10(t), 6) % 1 == 0]
    return Scale(low, high, start, end, log=True, ticks=tuple(ticks))


def _frame(x: Scale, y: Scale, x_title: str, y_title: str, height: int) -> str:
    base, right = height - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in y.ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" {_at(y(tick))}/>')
        parts.append(_text(_LEFT - 5, y(tick) + 4, _number(tick), "end"))
    for tick in x.ticks:
        parts.append(
            f'<line class="tick" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{base}" y2="{base + 4}"/>'
        )
        parts.append(_text(x(tick), base + 16, _number(tick), "middle"))
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{base}" y2="{base}"/>')
    parts.append(_text((_LEFT + right) / 2, height - 5, x_title, "middle"))
    middle = (_TOP + base) / 2
    parts.append(
        f'<text class="label" text-anchor="middle" transform="translate(11 {middle:.0f}) rotate(-90)">'
        f"{escape(y_title)}</text>"
    )
    return "".join(parts)


def _steps(front: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """Corners of the front: level to the next cost, then up to its score."""
    at = [f"{x(front[0][0]):.1f},{y(front[0][1]):.1f}"]
    for (_, before), (cost, score) in pairwise(front):
        at += [f"{x(cost):.1f},{y(before):.1f}", f"{x(cost):.1f},{y(score):.1f}"]
    return " ".join(at)


def _bars(front: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[Box]:
    """The level and upright parts of the front, for labels to keep away from."""
    found: list[Box] = []
    for (start, before), (cost, score) in pairwise(front):
        found.append((x(start), y(before) - 1, x(cost), y(before) + 1))
        found.append((x(cost) - 1, y(score), x(cost) + 1, y(before)))
    return found


def _line_label(line: Line, y: float, taken: list[Box]) -> str:
    """A line's label on the end and side of it where there is room."""
    width = _CHAR * len(line.label)
    places: list[Box] = [
        (left, top, left + width, top + 12)
        for left in (_LEFT + 4, WIDTH - _RIGHT - width - 2, (WIDTH - width) / 2)
        for top in (y - 15, y + 3)
    ]
    best = min(places, key=lambda box: sum(_overlap(box, other) for other in taken))
    taken.append(best)
    return _text(best[0], best[3] - 2, line.label, "start", f"on {line.role}")


def _label(text: str, x: float, y: float, taken: list[Box], height: int) -> str:
    """A dot's label at the first place around it that hides least; led to by a thin line when it is far."""
    if not text:
        return ""
    text = text if len(text) <= 26 else text[:25] + "…"
    width = _CHAR * len(text)
    places: list[Box] = []
    for far in (0, 13, 26, 39, 52):
        for left in (x + 9, x - 9 - width, x - width / 2):
            for top in (y - 6 - far, y - 6 + far):
                beside = left != x - width / 2 or far
                places += [(left, top, left + width, top + 12)] if beside else []
    inside = [
        b
        for b in places
        if b[0] >= _LEFT and b[2] <= WIDTH and b[1] >= 0 and b[3] <= height - _BOTTOM
    ] or places
    best = min(inside, key=lambda box: sum(_overlap(box, other) for other in taken))
    taken.append(best)
    lead = ""
    if abs((best[1] + best[3]) / 2 - y) > 14:
        end = min(max(x, best[0]), best[2])
        near = best[3] if best[3] < y else best[1]
        lead = f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{near:.1f}"/>'
    return lead + _text(best[0], best[3] - 2, text, "start")


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="label {kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _at(y: float) -> str:
    return f'y1="{y:.1f}" y2="{y:.1f}"'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _svg(parts: Iterable[str], title: str, height: float) -> str:
    named = escape(title, quote=True)
    return f'<svg role="img" aria-label="{named}" viewBox="0 0 {WIDTH} {height:g}">{"".join(parts)}</svg>'
