"""A study that has run, as an object: its table, its records, and its models by what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, overload

from destila.config import build_config
from destila.objects.finished_model import FinishedModel
from destila.objects.study_chart import study_chart
from destila.objects.text_rows import frame_rows, is_frame
from destila.progress import bar
from destila.records import Record, read_records
from destila.report.rows import group_rows
from destila.report.table import terminal_rows
from destila.study.budget import Budget, folder_of, pick
from destila.study.intake.distil_data import recipe_of_file, save_rows
from destila.study.intake.file_choices import FileChoices
from destila.study.planning.data import load_study
from destila.study.planning.recipe import Recipe
from destila.study.run import run_study

_HEADER = {
    "model": "model",
    "role": "role",
    "score": "score",
    "size_mb": "MB",
    "latency_ms": "ms",
    "speed_up": "speed-up",
}
"""Columns that are shown, and their titles."""


class StudyTable(Sequence[dict[str, Any]]):
    """The models of a study, a row each: a sequence of dicts that a notebook shows with a chart.

    Args:
        records: of the study.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = list(records)
        self._rows = terminal_rows(self._records)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Return a row, or several."""
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __str__(self) -> str:
        lines = [list(_HEADER.values()), *map(list, self._cells())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table and its chart as a notebook shows them."""
        head = "".join(f"<th>{escape(title)}</th>" for title in _HEADER.values())
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in self._cells()
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{table}{study_chart(self._records)}</div>"

    def _cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the shown cells of every row."""
        for row in self._rows:
            spread = f" ± {100 * row['sd']:.1f}" if row["sd"] else ""
            yield (
                row["model"],
                row["role"],
                f"{100 * row['score']:.1f}{spread}",
                f"{row['size_mb']:.2f}",
                "–" if row["latency_ms"] is None else f"{row['latency_ms']:.2f}",
                "–" if row["speed_up"] is None else f"{row['speed_up']:.1f}×",
            )


@dataclass(frozen=True, slots=True)
class FinishedStudy:
    """A study that has run.

    table: a row per model, as the report has them.
    records: of every model, with conditions.
    folder: of its models, its report and its page.
    """

    name: str
    table: StudyTable
    records: tuple[Record, ...]
    folder: Path

    def pick(
        self,
        *,
        max_ms: float | None = None,
        max_mb: float | None = None,
        min_score: float | None = None,
    ) -> FinishedModel:
        """Open the best model within a budget, as `destila pick` chooses it.

        Args:
            max_ms: most milliseconds per text.
            max_mb: most MB on disk.
            min_score: least main score, a ratio.

        Raises:
            ConfigError: no model is within the budget; the message says what is nearest.
        """
        budget = Budget(max_ms=max_ms, max_mb=max_mb, min_score=min_score)
        picked = pick(group_rows(self.records), self.records, budget, self.name)
        return FinishedModel(folder_of(picked.record, self.folder), record=picked.record)


def distil_data(
    data: Any,
    *,
    teacher: str | None,
    choices: Mapping[str, str | None],
    out: str | Path = "runs",
    quiet: bool = False,
) -> FinishedStudy:
    """Distil students from a data file or from rows; see `destila.distil`.

    Args:
        data: a file, or rows: a list of dicts, a frame, a Dataset.
        teacher: folder, hub name or file of labels; None: a teacher is trained from scratch.
        choices: `text`, `label`, `pair`, `metric`, `size`, `name`; None: detected.
        out: folder of studies.
        quiet: no progress.
    """
    # Rows become a file of the study, so that it can be run again, also from a terminal.
    path, chosen = data, dict(choices)
    if not isinstance(data, str | Path):
        rows = frame_rows(data) if is_frame(data) else data
        path = save_rows(rows, out, chosen.get("name"))
        chosen["name"] = path.parent.name

    options = build_config(FileChoices, chosen, where="distil")
    return run_whole(recipe_of_file(path, options, teacher=teacher, out=out), quiet=quiet)


def run_whole(recipe: Recipe, *, quiet: bool = False) -> FinishedStudy:
    """Run a study and return what it left."""
    with bar(quiet) as progress:
        run_study(recipe, progress)
    known = tuple(read_records(load_study(recipe).records_path))
    return FinishedStudy(recipe.name, StudyTable(known), known, recipe.folder)
