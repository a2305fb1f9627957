"""Whether the label column of a table holds several labels a row, and what parts them.

Three conventions are common: `a|b`, `a;b` and `a, b`. A name may hold such a character itself
("Valencia, Spain"), so a column is read as several labels only where that makes its values simpler:
parts recur in other combinations, so that there are no more different parts than different cells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from destila.datasets._zero_one import is_one_a_row, is_zero_one, label_columns
from destila.datasets.table import Columns, Options, split_labels
from destila.formats.tables import TableRow

_SEPARATORS = ("|", ";", ",")
"""The surest first: a comma stands in names most often."""

_FEWEST_COLUMNS = 3
"""Columns of 0 and 1 that are labels without being named; two may well be something else."""

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


def find_label_columns(
    rows: Sequence[TableRow], columns: Columns, options: Options
) -> tuple[dict[str, str], list[str]] | None:
    """Return the options of labels in columns of 0 and 1, and what to say of them; None for none.

    Args:
        rows: of the table.
        columns: as its loader chooses them.
        options: as the user gave them.
    """
    names = list(rows[0][1])
    if options.label is not None:
        chosen = label_columns(options.label, names)
        if len(chosen) == 1:
            return None
    else:
        # Where no column is called a label, three that say yes and no are labels, not properties.
        taken = {columns.text, columns.pair, columns.id}
        chosen = [name for name in names if name not in taken and is_zero_one(rows, name)]
        by_name = columns.label not in chosen
        if by_name or len(chosen) < _FEWEST_COLUMNS or any("," in name for name in chosen):
            return None

    # The same reading every time: what is chosen stands in the recipe.
    options_of = {"label": ",".join(chosen)}
    single = options.label_separator
    if single is None and is_one_a_row(rows, chosen):
        single = ""
    listed = ", ".join(f"'{name}'" for name in chosen)
    how = "each is a label, of which any number applies to a row"
    if single == "":
        options_of["label_separator"] = ""
        how = "the one that holds 1 is the label of the row"
    alone = f"; for one of them alone: --label '{chosen[0]}'" if options.label is None else ""
    return options_of, [f"columns {listed} hold 0 and 1: {how}{alone}"]


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
