"""The chart of a study for a notebook: score against cost, as inline SVG with its own colours."""

from __future__ import annotations

from collections.abc import Sequence

from destila.records import Record
from destila.report.drawing.figure import Dot, scatter
from destila.report.drawing.tradeoff import axes
from destila.report.rows import group_rows
from destila.report.words import role_name, score_name

_STYLE = """<style>
.destila-chart { max-width: 34rem }
.destila-chart text { font: 11px sans-serif; fill: currentColor }
.destila-chart .axis, .destila-chart .grid { stroke: #8888; fill: none }
.destila-chart .front { stroke: #888; stroke-width: 1.6; fill: none }
.destila-chart .dot { fill: #888 } .destila-chart .dot.teacher { fill: #cc79a7 }
.destila-chart .dot.distilled { fill: #0072b2 } .destila-chart .dot.finetuned { fill: #d55e00 }
.destila-chart .dot.exported { fill: #009e73 }
.destila-chart .dot.baseline { fill: none; stroke: #a34f83; stroke-width: 2.4 }
</style>"""


def study_chart(records: Sequence[Record]) -> str:
    """Draw score against milliseconds, or against size if nothing was timed; "" without models."""
    rows = group_rows(records)
    axis = next(iter(axes(rows)), None)
    if axis is None:
        return ""

    # one dot a model; the front is what nothing beats at its cost
    main = score_name(rows[0].first.main)
    dots = [
        Dot(
            marked.point.cost,
            100 * marked.row.main,
            marked.row.role,
            f"{marked.row.model}, {role_name(marked.row.role)}",
        )
        for marked in axis.points
    ]
    svg = scatter(
        dots,
        title=f"{main} against {axis.title}; the table above has the values",
        x_title=f"{axis.title} ({axis.unit}, logarithmic): less is better",
        y_title=f"{main} ×100",
        front=[(point.cost, 100 * point.score) for point in axis.front],
    )
    return f'<div class="destila-chart">{_STYLE}{svg}</div>'
