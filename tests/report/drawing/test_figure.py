from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.report.drawing import figure
from destila.report.drawing.figure import Curve, Dot, Ruler

PLAIN = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"])


def numbers_of(drawn, tag, *names):
    return [float(e.get(n)) for e in ET.fromstring(drawn).iter(tag) for n in names if e.get(n)]


@given(
    st.lists(
        st.builds(
            Dot, st.floats(1e-3, 1e4), st.floats(0, 100), st.just("distilled"), st.text(PLAIN)
        ),
        min_size=1,
    )
)
def test_every_dot_is_drawn_inside_the_figure(dots):
    drawn = figure.scatter(dots, title="t", x_title="ms", y_title="score")
    assert len(list(ET.fromstring(drawn).iter("circle"))) == len(dots)
    assert all(0 <= x <= figure.WIDTH for x in numbers_of(drawn, "circle", "cx"))
    assert all(0 <= y <= 300 for y in numbers_of(drawn, "circle", "cy"))


def test_every_role_has_its_own_shape():
    shapes = {
        figure.marker(role, 0, 0).replace(role, "")
        for role in ("teacher", "distilled", "finetuned", "exported", "baseline")
    }
    assert len(shapes) == 5


def test_names_are_escaped():
    drawn = figure.scatter(
        [Dot(1, 1, "distilled", "<b>&", "<i>")], title='"t"', x_title="<x>", y_title="y"
    )
    assert "<b>&" not in drawn
    assert ET.fromstring(drawn).get("aria-label") == '"t"'


def test_cheap_is_left_and_good_is_up():
    drawn = figure.scatter(
        [Dot(1, 10, "distilled"), Dot(9, 90, "distilled")], title="t", x_title="ms", y_title="s"
    )
    (x1, x2), (y1, y2) = numbers_of(drawn, "circle", "cx"), numbers_of(drawn, "circle", "cy")
    assert x1 < x2
    assert y1 > y2


def test_the_front_goes_level_first_and_then_up():
    drawn = figure.scatter(
        [Dot(1, 10, "distilled"), Dot(9, 90, "distilled")],
        title="t",
        x_title="ms",
        y_title="s",
        front=[(1, 10), (9, 90)],
    )
    line = next(ET.fromstring(drawn).iter("polyline")).get("points").split()
    (x1, y1), (x2, y2), (x3, y3) = (map(float, p.split(",")) for p in line)
    assert y1 == y2
    assert x2 == x3
    assert x1 < x2
    assert y3 < y2


def test_dots_of_one_name_side_by_side_share_a_label():
    """Dots of one name side by side share a label and far ones do not."""

    def labels(gap):
        dots = [
            Dot(1, 10, "distilled", "tiny"),
            Dot(1 + gap, 10, "finetuned", "tiny"),
            Dot(9, 90, "teacher", "big"),
        ]
        texts = ET.fromstring(figure.scatter(dots, title="t", x_title="ms", y_title="s")).iter(
            "text"
        )
        return [t.text for t in texts].count("tiny")

    assert (labels(0.01), labels(3)) == (1, 2)


def test_a_line_without_a_dot_at_its_height_is_inside_too():
    drawn = figure.scatter(
        [Dot(1, 50, "distilled")],
        title="t",
        x_title="ms",
        y_title="s",
        lines=[Ruler(95, "baseline", "baseline")],
    )
    ruler = next(e for e in ET.fromstring(drawn).iter("line") if "ruler" in e.get("class"))
    assert 0 < float(ruler.get("y1")) < 300


@pytest.mark.parametrize("log", [True, False])
@given(low=st.floats(1e-6, 1e6), factor=st.floats(1, 1e4))
def test_scales_have_ticks_within_their_range(log, low, factor):
    """Scales have ticks within their range and keep their order."""
    scale = (figure.log_scale if log else figure.linear_scale)([low, low * factor], 0, 100)
    assert len(scale.ticks) >= 2
    assert all(scale.low <= t <= scale.high for t in scale.ticks)
    assert [scale(t) for t in scale.ticks] == sorted(scale(t) for t in scale.ticks)
    assert -1e-6 <= scale(low) <= scale(low * factor) <= 100 + 1e-6


def test_a_curve_of_one_evaluation_can_be_drawn():
    drawn = figure.curves(
        [Curve([5], [0.5], "distilled")], title="t", x_title="step", y_title="s", y=(0.5, 0.5)
    )
    assert len(numbers_of(drawn, "circle", "cx")) == 1


def test_a_strip_has_a_line_of_dots_per_name():
    rows = [
        ("ours", [Dot(50, 0, "distilled"), Dot(60, 0, "distilled")]),
        ("theirs", [Dot(70, 0, "distilled", hollow=True)]),
    ]
    drawn = figure.strip(rows, title="t", x_title="F1")
    ys = numbers_of(drawn, "circle", "cy")
    assert ys[0] == ys[1] < ys[2]
    assert "hollow" in next(
        e for e in ET.fromstring(drawn).iter("circle") if float(e.get("cy")) == ys[2]
    ).get("class")
