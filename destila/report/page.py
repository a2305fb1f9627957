"""The report as one HTML page without any network: styles, script and figures are inside; drawn from saved records.

The page forbids itself every outside resource (Content-Security-Policy), reads on a phone and prints. Its template is
`template/page.html` with jinja2, which escapes whatever names hold; figures come from `figure.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from destila.errors import require
from destila.records import Record
from destila.report import figure, reference, runs, sections
from destila.report.figure import Curve, Dot, Line
from destila.report.rows import ROLES, Row, rows
from destila.report.sections import Section
from destila.report.tradeoff import Axis, Marked, axes, best_baseline
from destila.report.words import NONE, megabytes, name, points, role

_CROWD = 10  # dots that can all be labelled
_NUMBER = re.compile(r"^[+-]?\d[\d,]*(\.\d+)?")


def html(
    records: Sequence[Record], study: str, folder: Path | None = None, *, beside: str | None = None
) -> str:
    """The page; folder: the study's run folder, for learning curves. beside: as in `sections.sections`.

    Raises MissingExtraError without jinja2.
    """
    every = rows(records)
    main = name(every[0].first.main) if every else ""
    trained = [row for row in every if row.role not in ("baseline", "exported")]
    values = {
        "study": study,
        "main": main,
        "opening": sections.opening(every),
        "verdicts": sections.verdicts(every),
        "sections": [shown(section) for section in sections.sections(every, beside=beside)],
        "legend": _legend(every),
        "curve_legend": _legend(trained),
        "axes": [_axis(axis, main) for axis in axes(every)],
        "curves": _curves(every, runs.logs(folder), main),
        "published": _published(every),
        "labels": _per_label(every),
        "details": _details(every, folder),
    }
    return rendered("page.html", values)


def rendered(template: str, values: dict[str, Any]) -> str:
    """A page of the folder `template`, with the styles and the script that all of them share.

    Raises MissingExtraError without jinja2.
    """
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {"style": _part("page.css"), "script": _part("page.js")}
    made: str = environment.get_template(template).render(shared | values)
    return made


@cache
def _part(file: str) -> str:
    return files("destila.report").joinpath("template", file).read_text(encoding="utf-8")


def sort_value(cell: str) -> str:
    """What a column is sorted by: the cell's leading number; "" for a dash, the text itself otherwise."""
    if cell == NONE:
        return ""
    found = _NUMBER.match(cell)
    return found[0].replace(",", "") if found else cell


def shown(section: Section) -> dict[str, Any]:
    """A section with its cells as (text, sort value, whether a number)."""
    body = [[_cell(cell) for cell in line] for line in section.body]
    return {
        "key": section.key,
        "title": section.title,
        "opening": section.opening,
        "header": section.header,
        "body": body,
        "notes": section.notes,
        "bullets": section.bullets,
    }


def _cell(text: str) -> dict[str, Any]:
    return {
        "text": text,
        "value": sort_value(text),
        "number": bool(_NUMBER.match(text)) or text == NONE,
    }


def _legend(every: Sequence[Row]) -> list[tuple[str, str]]:
    used = {row.role for row in every}
    return [(figure.legend(key), role(key)) for key in ROLES if key in used]


def _axis(axis: Axis, main: str) -> dict[str, Any]:
    best = axis.front
    dots = [
        Dot(
            marked.point.cost,
            100 * marked.row.main,
            marked.row.role,
            _label(marked, axis),
            f"{marked.point.name}: {points(marked.row.main)} at {marked.point.cost:.3g} {axis.unit}",
            hollow=not marked.among and marked.row.role != "baseline",
        )
        for marked in axis.points
    ]
    lines = []
    if axis.teacher:
        lines.append(
            Line(100 * axis.teacher.main, "teacher", f"teacher {points(axis.teacher.main)}")
        )
    if axis.baseline:
        lines.append(
            Line(100 * axis.baseline.main, "baseline", f"baseline {points(axis.baseline.main)}")
        )
    drawn = figure.scatter(
        dots,
        title=f"{main} against {axis.title}; the table below has the values",
        x_title=f"{axis.title} ({axis.unit}, logarithmic): less is better",
        y_title=f"{main} ×100",
        front=[(point.cost, 100 * point.score) for point in best],
        lines=lines,
        knee=(axis.knee.cost, 100 * axis.knee.score) if axis.knee else None,
    )
    outside = [marked.point.name for marked in axis.points if not marked.among]
    knee = axis.knee.name if axis.knee else ""
    return {
        "svg": drawn,
        "title": axis.title,
        "knee": knee,
        "outside": outside,
        "crowded": len(dots) > _CROWD,
    }


def _label(marked: Marked, axis: Axis) -> str:
    """A dot's label; where dots are many only the front and what has no equal are labelled, the rest on hover."""
    if (
        len(axis.points) > _CROWD
        and marked.row.role not in ("teacher", "baseline")
        and marked.point not in axis.front
    ):
        return ""
    return re.sub(
        r"-(distilled|finetuned)(?=[ -]|$)", "", marked.row.model
    )  # of an exported run; its shape says the role


def _curves(every: Sequence[Row], logs: dict[str, runs.Log], main: str) -> list[dict[str, Any]]:
    """Per model two panels: dev score and loss over steps; [] where no run left a log."""
    found: dict[str, list[tuple[str, runs.Log]]] = {}
    for row in every:
        for record in row.records:
            log = runs.log_of(record, logs)
            if log and log.main:
                found.setdefault(row.model, []).append((row.role, log))
    every_main = [
        100 * value for named in found.values() for _, log in named for _, value in log.main
    ]
    panels = []
    for model, named in found.items():
        # `said` and not `role`: CPython 3.12 takes an inner loop's name for the function of that name below.
        scores = [
            Curve([step for step, _ in log.main], [100 * value for _, value in log.main], said)
            for said, log in named
        ]
        losses = [_loss_curve(said, log) for said, log in named if len(log.loss) > 1]
        low_high = (min(every_main), max(every_main))
        score = f"{main} on dev ×100"
        panels.append(
            {
                "model": model,
                "roles": [role(key) for key in dict.fromkeys(key for key, _ in named)],
                "score": figure.curves(
                    scores,
                    title=f"{model}: {score} over steps",
                    x_title="step",
                    y_title=score,
                    y=low_high,
                ),
                "loss": _loss_panel(model, losses),
            }
        )
    return panels


def _loss_curve(role: str, log: runs.Log) -> Curve:
    """The training loss as means over about forty stretches: single batches are noise."""
    stretch = max(1, len(log.loss) // 40)
    parts = [log.loss[i : i + stretch] for i in range(0, len(log.loss), stretch)]
    xs = [part[-1][0] for part in parts]
    ys = [
        max(sum(value for _, value in part) / len(part), 1e-6) for part in parts
    ]  # the axis is logarithmic
    return Curve(xs, ys, role, marked=False)


def _loss_panel(model: str, losses: Sequence[Curve]) -> str:
    if not losses:
        return ""
    values = [value for curve in losses for value in curve.ys]
    title, low_high = f"{model}: training loss over steps", (min(values), max(values))
    return figure.curves(
        losses, title=title, x_title="step", y_title="training loss", y=low_high, log=True
    )


def _published(every: Sequence[Row]) -> str:
    """Published main scores (hollow) and ours (filled) on one axis; "" where nothing is published."""
    if not every:
        return ""
    main, dataset = every[0].first.main, every[0].first.dataset
    theirs = [p for p in reference.scores(dataset) if p.score == main]
    if not theirs:
        return ""
    lines: dict[str, list[Dot]] = {}
    for p in theirs:
        hover = f"{p.model}, {p.training}, {p.table}: {points(p.value)}"
        lines.setdefault(p.model, []).append(
            Dot(100 * p.value, 0, p.training, hover=hover, hollow=True)
        )
    for row in every:
        hover = f"{row.model} ({row.role}), measured here: {points(row.main)}"
        lines.setdefault(f"{row.model} (ours)", []).append(
            Dot(100 * row.main, 0, row.role, hover=hover)
        )
    ordered = sorted(lines.items(), key=lambda item: -max(dot.x for dot in item[1]))
    title = f"{name(main)} of published models (hollow) and of this study (filled); the table below has the values"
    return figure.strip(ordered, title=title, x_title=f"{name(main)} ×100")


def _per_label(every: Sequence[Row]) -> dict[str, Any] | None:
    """F1 of every label in every row; None where no record has it."""
    told = [row for row in every if row.first.details.get("per_label")]
    if not told:
        return None
    labels = list(told[0].first.details["per_label"])
    header = ["label", "examples", *(f"{row.model} {role(row.role)}" for row in told)]
    body = []
    for label in labels:
        support = told[0].first.details["per_label"][label].get("support", 0)
        cells = [_mean_of_label(row, label) for row in told]
        body.append([_cell(text) for text in (label, f"{support:,.0f}", *cells)])
    return {"header": header, "body": body}


def _mean_of_label(row: Row, label: str) -> str:
    values = [r.details.get("per_label", {}).get(label, {}).get("f1") for r in row.records]
    return NONE if not values or None in values else points(sum(values) / len(values))


def _details(every: Sequence[Row], folder: Path | None) -> list[dict[str, Any]]:
    """Confusion of each row's first seed, counts with their share of the gold label."""
    told = [row for row in every if row.first.details.get("confusion")]
    if not told:
        return []
    labels = runs.labels_of([record for row in told for record in row.records], folder)
    baseline = best_baseline(every)
    best = max(
        (row for row in told if row is not baseline), key=lambda row: row.main, default=told[0]
    )
    found = []
    for row in told:
        counts = row.first.details["confusion"]
        shares = [[n / sum(line) if sum(line) else 0.0 for n in line] for line in counts]
        body = [
            list(zip(line, share, strict=True)) for line, share in zip(counts, shares, strict=True)
        ]
        found.append(
            {
                "name": f"{row.model}, {role(row.role)}",
                "seed": row.first.seed,
                "size": megabytes(row.first.size_bytes),
                "labels": labels,
                "body": body,
                "open": row is best,
            }
        )
    return found
