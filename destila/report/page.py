"""The report as one HTML page without any network; drawn from saved records.

Styles, script and figures are inside. The page forbids itself every outside resource
(Content-Security-Policy), reads on a phone and prints. Its template is `template/page.html` with
jinja2, which escapes whatever names hold; figures come from `figure.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from destila.errors import MissingExtraError, require
from destila.records import Record
from destila.report import mistakes, reference, runs, sections
from destila.report.drawing import figure
from destila.report.drawing.figure import Curve, Dot, Ruler
from destila.report.drawing.tradeoff import Axis, Marked, axes
from destila.report.rows import ROLES, ReportRow, group_rows, name_of
from destila.report.section import Section
from destila.report.words import NONE, points, role_name, score_name

NO_PAGE = "no page without jinja2: pip install 'destila[report]'"
"""What is said where the page cannot be drawn."""

_CROWD = 10  # dots that can all be labelled
_CONFUSION = (
    "Gold labels in rows, given labels in columns; the shade is the share of the gold label. "
    "Words for taggers, else texts; the first seed."
)
_CURVES = (
    "One line per seed. The score is that of the dev split, at the same scale for all models; the "
    "training loss is a mean over some batches on a logarithmic axis, and is that of each "
    "training's own terms: lines of different roles are not comparable in it."
)
_NUMBER = re.compile(r"^[+-]?\d[\d,]*(\.\d+)?")


def can_draw() -> bool:
    """Tell whether the optional package that sets pages is installed."""
    try:
        require("jinja2", "report")
    except MissingExtraError:
        return False
    return True


def study_page(
    records: Sequence[Record], study: str, folder: Path | None = None, *, beside: str | None = None
) -> str:
    """Write the page of a study.

    Args:
        records: of the study.
        study: its name.
        folder: of its runs, for learning curves; None = none are drawn.
        beside: a student that all others are compared with too.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    rows = group_rows(records)

    # Rows may be empty: a page of a study that has only begun is still drawn.
    main = score_name(rows[0].first.main) if rows else ""
    trained = [row for row in rows if row.role not in ("baseline", "exported")]

    verdicts = sections.verdicts(rows)
    curves = _curve_panels(rows, runs.read_logs(folder), main)

    # One name per slot of the template; a missing one is an error there.
    values = {
        "study": study,
        "main": main,
        "opening": sections.opening_sentence(rows, conclusion=not verdicts),
        "verdicts": verdicts,
        "sections": _page_sections(rows, folder, curves=bool(curves), beside=beside),
        "legend": _legend(rows),
        "curve_legend": _legend(trained),
        "axes": [_axis_values(axis, main) for axis in axes(rows)],
        "curves": curves,
        "published": _published_figure(rows),
        "details": mistakes.confusions(rows, folder),
    }
    return render("page.html", values)


def _page_sections(
    rows: Sequence[ReportRow], folder: Path | None, *, curves: bool, beside: str | None
) -> list[dict[str, Any]]:
    """List the sections of the page: those of the report, and three that are drawn on it alone."""
    every = sections.sections(rows, beside=beside)

    # Conclusions stand at the top already.
    top = set(sections.verdicts(rows))
    every = [each for each in every if each.header or not top.issuperset(each.bullets or ("",))]

    # Mistakes stand before the costs.
    costs = next((i for i, each in enumerate(every) if each.key == "cost"), 0)
    if wrong := mistakes.wrong_section(rows, folder):
        every.insert(costs, wrong)
    if any(row.first.details.get("confusion") for row in rows):
        every.insert(costs, Section("confusion", "Confusion", _CONFUSION))

    # Curves say how the numbers came about.
    if curves:
        place = next(i for i, each in enumerate(every) if each.key in ("published", "conditions"))
        every.insert(place, Section("curves", "Learning curves", _CURVES))
    return [section_values(each) for each in every]


def render(template: str, values: dict[str, Any]) -> str:
    """Render a page of the folder `template`, with the styles and the script that all share.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", "report")

    # Names of models and labels are a user's text: all of it is escaped.
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    # Inside the page, as it may load nothing.
    shared = {"style": _template_file("page.css"), "script": _template_file("page.js")}
    html: str = environment.get_template(template).render(shared | values)
    return html


@cache
def _template_file(file: str) -> str:
    """Read a file of the folder `template`."""
    return files("destila.report").joinpath("template", file).read_text(encoding="utf-8")


def sort_value(cell: str) -> str:
    """Return what a column is sorted by: the leading number; "" for a dash; else the text."""
    # Missing values sort last in both directions.
    if cell == NONE:
        return ""
    number = _NUMBER.match(cell)
    return number[0].replace(",", "") if number else cell


def section_values(section: Section) -> dict[str, Any]:
    """Turn a section into what the template takes."""
    return {
        "key": section.key,
        "title": section.title,
        "opening": section.opening,
        "header": section.header,
        "body": [[_cell(cell) for cell in line] for line in section.body],
        "notes": section.notes,
        "bullets": section.bullets,
    }


def _cell(text: str) -> dict[str, Any]:
    """Turn a cell into its text, what it is sorted by, and whether it is a number."""
    number = bool(_NUMBER.match(text)) or text == NONE
    return {"text": text, "value": sort_value(text), "number": number}


def _legend(rows: Sequence[ReportRow]) -> list[tuple[str, str]]:
    """List marker and name of every role that is drawn."""
    used = {row.role for row in rows}
    return [(figure.legend(key), role_name(key)) for key in ROLES if key in used]


def _axis_values(axis: Axis, main: str) -> dict[str, Any]:
    """Draw score against one cost, with the front, the knee, teacher and baseline across."""
    dots = [_dot(marked, axis) for marked in axis.points]
    rulers = [
        Ruler(100 * row.main, role, f"{role} {points(row.main)}")
        for row, role in ((axis.teacher, "teacher"), (axis.baseline, "baseline"))
        if row is not None
    ]

    # The table below says the same in numbers, for readers without the figure.
    svg = figure.scatter(
        dots,
        title=f"{main} against {axis.title}; the table below has the values",
        x_title=f"{axis.title} ({axis.unit}, logarithmic): less is better",
        y_title=f"{main} ×100",
        front=[(point.cost, 100 * point.score) for point in axis.front],
        lines=rulers,
        knee=(axis.knee.cost, 100 * axis.knee.score) if axis.knee else None,
    )
    return {
        "svg": svg,
        "title": axis.title,
        "knee": axis.knee.name if axis.knee else "",
        "outside": [marked.point.name for marked in axis.points if not marked.among],
        "crowded": len(dots) > _CROWD,
    }


def _dot(marked: Marked, axis: Axis) -> Dot:
    """Make the dot of a row; hollow where it does not enter the front."""
    point, row = marked.point, marked.row
    return Dot(
        point.cost,
        100 * row.main,
        row.role,
        _dot_label(marked, axis),
        f"{point.name}: {points(row.main)} at {point.cost:.3g} {axis.unit}",
        hollow=not marked.among and row.role != "baseline",
    )


def _dot_label(marked: Marked, axis: Axis) -> str:
    """Return a dot's label; "" for those that a crowded figure shows on hover alone."""
    # In a crowd only what the text speaks of has a label: front, teacher, baselines.
    special = marked.row.role in ("teacher", "baseline") or marked.point in axis.front
    if len(axis.points) > _CROWD and not special:
        return ""

    # The shape of an exported model's marker says its role already.
    return re.sub(r"-(distilled|finetuned)(?=[ -]|$)", "", marked.row.model)


def _curve_panels(
    rows: Sequence[ReportRow], logs: dict[str, runs.LogCurves], main: str
) -> list[dict[str, Any]]:
    """Draw two panels per model: dev score and loss over steps; [] where no run left a log."""
    # Roles of one model share a panel, which shows what the teacher changes.
    by_model: dict[str, list[tuple[str, runs.LogCurves]]] = {}
    for row in rows:
        for record in row.records:
            log = runs.log_of(record, logs)
            if log and log.main:
                by_model.setdefault(row.model, []).append((row.role, log))

    # All models share the range of scores, so that their panels can be compared.
    every_log = [log for named in by_model.values() for _, log in named]
    values = [100 * value for log in every_log for _, value in log.main]
    y_title = f"{main} on dev ×100"

    panels = []
    for model, named in by_model.items():
        scores = [_score_curve(role, log) for role, log in named]
        losses = [_loss_curve(role, log) for role, log in named if len(log.loss) > 1]
        svg = figure.curves(
            scores,
            title=f"{model}: {y_title} over steps",
            x_title="step",
            y_title=y_title,
            y=(min(values), max(values)),
        )
        roles = [role_name(key) for key in dict.fromkeys(key for key, _ in named)]
        loss = _loss_panel(model, losses)
        panels.append({"model": model, "roles": roles, "score": svg, "loss": loss})
    return panels


def _score_curve(role: str, log: runs.LogCurves) -> Curve:
    """Draw the main score on dev at evaluations."""
    steps = [step for step, _ in log.main]
    return Curve(steps, [100 * value for _, value in log.main], role)


def _loss_curve(role: str, log: runs.LogCurves) -> Curve:
    """Draw the training loss as means over about forty segments: single batches are noise."""
    # Fewer than forty steps are drawn one by one.
    size = max(1, len(log.loss) // 40)
    parts = [log.loss[i : i + size] for i in range(0, len(log.loss), size)]
    xs = [part[-1][0] for part in parts]
    means = [sum(value for _, value in part) / len(part) for part in parts]
    return Curve(xs, [max(mean, 1e-6) for mean in means], role, marked=False)  # a logarithmic axis


def _loss_panel(model: str, losses: Sequence[Curve]) -> str:
    """Draw the losses of a model; "" without any."""
    if not losses:
        return ""

    # All runs of the model share the axis.
    values = [value for curve in losses for value in curve.ys]
    return figure.curves(
        losses,
        title=f"{model}: training loss over steps",
        x_title="step",
        y_title="training loss",
        y=(min(values), max(values)),
        log=True,
    )


def _published_figure(rows: Sequence[ReportRow]) -> str:
    """Draw published main scores (hollow) and ours (filled); "" where nothing is published."""
    if not rows:
        return ""

    # Only the main score can be compared along one axis.
    main, dataset = rows[0].first.main, rows[0].first.dataset
    published = [p for p in reference.published_scores(dataset) if p.score == main]
    if not published:
        return ""

    # Models by line; ours are marked, so that nobody takes one for the other.
    lines: dict[str, list[Dot]] = {}
    for p in published:
        hover = f"{p.model}, {p.training}, {p.table}: {points(p.value)}"
        dot = Dot(100 * p.value, 0, p.training, hover=hover, hollow=True)
        lines.setdefault(p.model, []).append(dot)
    for row in rows:
        hover = f"{name_of(row)}, measured here: {points(row.main)}"
        dot = Dot(100 * row.main, 0, row.role, hover=hover)
        lines.setdefault(f"{row.model} (ours)", []).append(dot)

    # The best model first.
    ordered = sorted(lines.items(), key=lambda item: -max(dot.x for dot in item[1]))
    title = (
        f"{score_name(main)} of published models (hollow) and of this study (filled); "
        "the table below has the values"
    )
    return figure.strip(ordered, title=title, x_title=f"{score_name(main)} ×100")
