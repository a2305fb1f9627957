"""Whether the label column of a table holds several labels a row, and what parts them.

Three conventions are common: `a|b`, `a;b` and `a, b`. A name may hold such a character itself
("Valencia, Spain"), so a column is read as several labels only where that makes its values simpler:
parts recur in other combinations, so that there are no more different parts than different cells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from destila.datasets.table import split_labels
from destila.formats.tables import TableRow

_SEPARATORS = ("|", ";", ",")
"""The surest first: a comma stands in names most often."""

_FEWEST = 2
"""Rows with a separator below which it is part of a name, or a slip."""


def find_separator(rows: Sequence[TableRow], label: str) -> str | None:
    """Return what parts the labels of a column; None where a row has one label.

    Args:
        rows: of the table.
        label: the column; lists, as JSON has them, need no separator.
    """
    cells = _cells(rows, label)
    for separator in _SEPARATORS:
        several = [cell for cell in cells if separator in cell]
        parts = {part for cell in cells for part in split_labels(cell, separator)}
        if len(several) >= _FEWEST and len(parts) <= len(set(cells)):
            return separator
    return None


def separator_of_labels(rows: Sequence[TableRow], label: str, known: Collection[str]) -> str | None:
    """Return the separator that leaves a column the fewest labels that a model does not know.

    Args:
        rows: of the table.
        label: the column.
        known: labels of the model.
    """
    cells = _cells(rows, label)

    def unknown(separator: str) -> int:
        """Count the parts that are no labels of the model."""
        return len({part for c in cells for part in split_labels(c, separator)} - set(known))

    return min(_SEPARATORS, key=unknown) if cells else None


def _cells(rows: Sequence[TableRow], label: str) -> list[str]:
    """Return the labels of the rows that have any, as they are written; lists are none."""
    values = (row.get(label) for _, row in rows)
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]
