"""The report of a matrix from the records of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from destila import records
from destila.matrix.matrix import Cell, MatrixOptions, cells_of
from destila.records import Record
from destila.report.matrix_table import MatrixTable, TableCell, matrix_rows, write_matrix_report


def report_matrix(
    matrix: MatrixOptions, changes: Sequence[str] = (), *, out: str | None = None
) -> dict[str, Any]:
    """Write the report of a matrix, and return what the command shows.

    Args:
        matrix: all of its cells are shown, whichever of them were run.
        changes: overrides that the cells were run with.
        out: the Markdown file, the page beside it; None = matrix.md in the folder of the matrix.

    Raises:
        ConfigError: the report cannot be written.
    """
    cells = cells_of(matrix, changes=changes)
    table = MatrixTable(
        name=matrix.name,
        published=matrix.published,
        mean=matrix.mean,
        cells=[_table_cell(cell) for cell in cells],
        deviations=matrix.deviations,
    )
    paths = write_matrix_report(table, Path(out) if out else cells[0].path.parent / "matrix.md")
    return {
        "study": matrix.name,
        "report": str(paths[0]),
        "rows": matrix_rows(table),
        "lines": [f"{name}: {path}" for name, path in zip(("report", "page"), paths, strict=False)],
    }


def _table_cell(cell: Cell) -> TableCell:
    """Return a cell of the table, with the test records of its model."""
    row, column = cell.row, cell.column
    dataset = column.published or cell.dataset
    return TableCell(
        model=cell.model,
        column=column.title,
        training=cell.training,
        published=(row.published or cell.model, dataset),
        scores=column.scores,
        records=tuple(_records(cell)),
    )


def _records(cell: Cell) -> list[Record]:
    """Return the newest test record of each seed of a cell's model; [] where it was not run."""
    path = cell.records_path
    every = records.read_records(path) if path.exists() else []
    seeds = {
        record.seed: record
        for record in every
        if (record.role, record.model, record.split) == (cell.training, cell.model, "test")
    }
    return [seeds[seed] for seed in sorted(seeds)]
