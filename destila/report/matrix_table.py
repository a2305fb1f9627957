"""The report of a matrix: the published table with ours beside it, and what else is published.

A cell that was not run is blank. Ours are the mean over seeds of the recorded test scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from destila.reading.escaping import markdown
from destila.records import Record
from destila.report import reference
from destila.report.page import can_draw, render, section_values
from destila.report.section import Section
from destila.report.table import section_markdown
from destila.report.words import points, score_name, signed, with_commas
from destila.report.write import write_report_file

_BLANK = ""
"""What a cell holds that was not run, or is not published."""

_GRID = "slides-2023"
"""The table whose distillation grid and search for a teacher are published too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell of a matrix, with what is recorded of it.

    Args:
        model: name of its row.
        column: heading of its column.
        training: finetuned or distilled.
        published: model and data set of the published table.
        scores: keys of the scores that are published, the main one first.
        records: of its model on test; () where it was not run.
    """

    model: str
    column: str
    training: str
    published: tuple[str, str]
    scores: tuple[str, ...]
    records: tuple[Record, ...] = ()

    def ours(self) -> list[float]:
        """Return our scores, means over seeds; [] where one is missing."""
        if not self.records or any(s not in r.scores for r in self.records for s in self.scores):
            return []
        return [fmean(record.scores[score] for record in self.records) for score in self.scores]

    def printed(self, table: str) -> list[float]:
        """Return the published scores of a table; [] where one is missing."""
        model, dataset = self.published
        known = {
            each.score: each.value
            for each in reference.published_scores()
            if (each.table, each.model, each.dataset, each.training)
            == (table, model, dataset, self.training)
        }
        return [known[score] for score in self.scores] if set(self.scores) <= set(known) else []


@dataclass(frozen=True, kw_only=True)
class MatrixTable:
    """A published table and its cells.

    Args:
        name: of the matrix.
        published: short name of the published table.
        mean: what of a column enters the mean of a row.
        cells: in the order of the matrix.
        deviations: what is not as published.
    """

    name: str
    published: str
    mean: Literal["first", "all"]
    cells: Sequence[TableCell]
    deviations: Sequence[str] = ()

    @property
    def models(self) -> list[str]:
        """The rows, each once."""
        return list(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """The columns, each once."""
        return list(dict.fromkeys(cell.column for cell in self.cells))

    def cell(self, model: str, column: str) -> TableCell | None:
        """Return a cell; None where the matrix has none."""
        cells = (each for each in self.cells if (each.model, each.column) == (model, column))
        return next(cells, None)

    def row_mean(self, model: str, *, ours: bool) -> float | None:
        """Return the mean of a row over all columns; None where one is missing."""
        values = []
        for column in self.columns:
            cell = self.cell(model, column)
            scores = [] if cell is None else cell.ours() if ours else cell.printed(self.published)
            if not scores:
                return None
            values.append(scores[0] if self.mean == "first" else fmean(scores))
        return fmean(values)


def write_matrix_report(table: MatrixTable, path: Path) -> list[Path]:
    """Write the report as Markdown and, where jinja2 is installed, the page beside it.

    Raises:
        ConfigError: a file cannot be written.
    """
    sections = [
        _scores(table),
        _differences(table),
        _summary(table),
        *_stored(table),
        Section("deviations", "Not as published", bullets=list(table.deviations)),
    ]
    sections = [each for each in sections if each.body or each.bullets]
    opening = _opening(table)
    parts = [f"# {markdown(table.name)}", opening, *(section_markdown(each) for each in sections)]
    write_report_file(path, "\n\n".join(parts) + "\n")
    if not can_draw():
        return [path]

    values = {
        "name": table.name,
        "kind": "table",
        "opening": opening,
        "verdicts": [],
        "legend": [],
        "events": False,
        "panels": [],
        "sections": [section_values(each) for each in sections],
    }
    page = path.with_suffix(".html")
    write_report_file(page, render("figures.html", values))
    return [path, page]


def matrix_rows(table: MatrixTable) -> list[dict[str, str]]:
    """Return what a terminal shows: the rows of the table, ours beside the published scores."""
    section = _scores(table)
    return [dict(zip(section.header, line, strict=True)) for line in section.body]


def _opening(table: MatrixTable) -> str:
    """Say what stands beside what, and how much of it is there."""
    source = reference.published_tables()[table.published]
    done = sum(bool(cell.records) for cell in table.cells)
    return (
        f"{done} of {len(table.cells)} cells were run. Beside ours: {source.title} "
        f"({source.source}). {source.note}"
    )


def _scores(table: MatrixTable) -> Section:
    """Draw the table: ours (published) in every cell, and the mean of the row."""
    body = []
    for model in table.models:
        line = [model]
        for column in table.columns:
            cell = table.cell(model, column)
            line.append(_pair(cell.ours(), cell.printed(table.published)) if cell else _BLANK)
        means = [table.row_mean(model, ours=ours) for ours in (True, False)]
        body.append([*line, _pair(*([] if mean is None else [mean] for mean in means))])

    # The columns say once which scores they hold.
    named = {cell.column: " / ".join(map(score_name, cell.scores)) for cell in table.cells}
    return Section(
        "scores",
        "Scores",
        "Test scores in points: ours, and published in brackets.",
        header=["model", *table.columns, "mean"],
        body=body,
        notes="; ".join(f"{column}: {scores}" for column, scores in named.items())
        + ". "
        + _mean_note(table),
    )


def _mean_note(table: MatrixTable) -> str:
    """Say what the mean of a row is made of."""
    if table.mean == "first":
        return "Mean: of the first score of each column; blank where a column is."
    return "Mean: each column enters with the mean of its scores; blank where a column is."


def _differences(table: MatrixTable) -> Section:
    """Draw ours minus published, in points of the first score, where both are there."""

    def difference(cell: TableCell | None) -> str:
        ours, printed = (cell.ours(), cell.printed(table.published)) if cell else ([], [])
        return signed(ours[0] - printed[0]) if ours and printed else _BLANK

    return Section(
        "differences",
        "Ours minus published",
        "Points of the first score of each column.",
        header=["model", *table.columns],
        body=_by_column(table, difference),
    )


def _by_column(table: MatrixTable, write: Callable[[TableCell | None], str]) -> list[list[str]]:
    """Write every cell; rows of which nothing is known are left out."""
    lines = [
        [model, *(write(table.cell(model, column)) for column in table.columns)]
        for model in table.models
    ]
    return [line for line in lines if any(line[1:])]


def _summary(table: MatrixTable) -> Section:
    """Draw parameters, speed-up and mean score of each row."""
    body = []
    for model in table.models:
        first = next(cell for cell in table.cells if cell.model == model)
        published = _cost(first.published[0])
        records = [record for cell in table.cells if cell.model == model for record in cell.records]
        speed_up = published.get("macs_speed_up")
        means = [table.row_mean(model, ours=ours) for ours in (True, False)]
        body.append(
            [
                model,
                _beside(
                    with_commas(records[0].params) if records else _BLANK,
                    with_commas(published["params"]) if published else _BLANK,
                ),
                f"{speed_up:.2f}x" if speed_up else _BLANK,
                _pair(*([] if mean is None else [mean] for mean in means)),
            ]
        )
    return Section(
        "summary",
        "Summary",
        header=["model", "parameters", "speed-up", "score"],
        body=body,
        notes="Ours, and published in brackets. Parameters: ours with the head of the first column "
        "that was run, published with one of three labels. Speed-up: published, by "
        "multiply-accumulates against BETO; destila presets derives the same number.",
    )


def _stored(table: MatrixTable) -> list[Section]:
    """Draw what else is published of these models: grid, teachers, times and sizes."""
    sections = [_times(table), _sizes(table)]
    distilled = any(cell.training == "distilled" for cell in table.cells)
    return (
        [_grid(table), _teachers(), *sections]
        if (distilled and table.published == _GRID)
        else sections
    )


def _grid(table: MatrixTable) -> Section:
    """Draw the published cells of the distillation grid beside the dev scores of ours."""
    ours = {cell.published: cell for cell in table.cells}
    body = []
    for each in reference.distillation_grid():
        cell = ours.get((each.model, each.dataset))
        if cell is None or each.score != cell.scores[0]:
            continue
        dev = [r.details.get("dev", {}).get(each.score) for r in cell.records]
        mean = points(fmean(dev)) if dev and None not in dev else _BLANK
        set_ = each.settings
        chosen = f"{set_['lr']:g}, {set_['batch']}, {set_['epochs']}"
        body.append(
            [each.model, cell.column, chosen, str(set_["hours"]), _beside(mean, points(each.value))]
        )
    return Section(
        "grid",
        "Chosen cells of the distillation grid",
        "Published: the cell of lowest dev loss. Dev: ours, and published in brackets.",
        header=["model", "column", "rate, batch, epochs", "hours", "dev"],
        body=body,
    )


def _teachers() -> Section:
    """Draw the published search for a teacher on PAWS-X."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for each in reference.teachers():
        key = f"{each.settings['loss']} {each.settings['lr']:g}"
        rows.setdefault((each.model, each.settings["teacher"]), {})[key] = points(each.value)
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    return Section(
        "teachers",
        "Published search for a teacher on PAWS-X",
        "Accuracy on dev, by loss and rate.",
        header=["student", "teacher", *keys],
        body=[[*names, *(row.get(key, _BLANK) for key in keys)] for names, row in rows.items()],
    )


def _times(table: MatrixTable) -> Section:
    """Draw the seconds of training, ours (published)."""
    published = reference.training_seconds(table.published)

    def seconds(cell: TableCell | None) -> str:
        ours = [record.seconds for record in cell.records] if cell else []
        printed = published.get(cell.published) if cell else None
        own = f"{fmean(ours):,.0f}" if ours else _BLANK
        other = f"{printed:,.0f}" if printed else _BLANK
        return _beside(own, other)

    return Section(
        "times",
        "Seconds of training",
        "Ours, and published in brackets, each on its own machine.",
        header=["model", *table.columns],
        body=_by_column(table, seconds),
    )


def _sizes(table: MatrixTable) -> Section:
    """Draw the published sizes of files and speeds."""
    body = []
    for name in dict.fromkeys(cell.published[0] for cell in table.cells):
        cost = _cost(name)
        if not cost:
            continue
        speeds = cost.get("per_second", {})
        cells = [
            cost["size_mb"],
            speeds.get("cpu"),
            speeds.get("rtx-3090"),
            cost.get("ner_100_seconds"),
        ]
        body.append([name, *(_BLANK if cell is None else f"{cell:g}" for cell in cells)])
    return Section(
        "sizes",
        "Published sizes and speeds",
        header=["model", "MB", "texts/s CPU", "texts/s RTX 3090", "100 NER sentences, s"],
        body=body,
        notes="Texts a second: batch 1, 512 random ids. destila presets --latency measures here.",
    )


def _pair(ours: Sequence[float], published: Sequence[float]) -> str:
    """Write our scores and, in brackets, the published ones."""
    return _beside(" / ".join(map(points, ours)), " / ".join(map(points, published)))


def _beside(ours: str, published: str) -> str:
    """Write ours and, in brackets, what is published; blank where neither is there."""
    return f"{ours} ({published})".strip() if published else ours


def _cost(model: str) -> Mapping[str, Any]:
    """Return what is published of a model's cost; {} where nothing is.

    The three pre-trainings of one size, `albeto-base-v1`, cost the same.
    """
    return reference.costs().get(re.sub(r"-v\d$", "", model), {})
