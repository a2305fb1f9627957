"""Labels in columns of their own: 1 in those that apply to a row, 0 in the others.

`label = "comida,viaje,precio"` names the columns. Each is a label; a row has any number of them,
or, where a recipe says that there is one a row (`label_separator = ""`), exactly one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from destila.errors import DataError

_YES = frozenset({"1", "1.0", "true", "verdadero", "sí", "si", "yes"})
_NO = frozenset({"0", "0.0", "false", "falso", "no"})


def label_columns(label: str, names: Collection[str]) -> list[str]:
    """Return the columns that hold the labels: one, or those that commas part.

    Args:
        label: the option; the name of one column counts as such, commas and all.
        names: of the columns that there are.
    """
    parts = [part.strip() for part in label.split(",")]
    return [label] if label in names or len(parts) == 1 else parts


def labels_of_columns(
    row: Mapping[str, Any], columns: Sequence[str], where: str, *, single: bool
) -> str | tuple[str, ...]:
    """Return the labels of a row, sorted, or its only one; "" where a cell is empty.

    Args:
        row: of a table.
        columns: of labels.
        where: file and line, for messages.
        single: whether exactly one label applies to a row.

    Raises:
        DataError: a cell is neither yes nor no, or another number of labels applies than one.
    """
    chosen = []
    for name in columns:
        value = row.get(name)
        cell = "" if value is None else str(value).strip().lower()
        if not cell:
            return ""
        if cell not in _YES | _NO:
            raise DataError(
                f"{where}: column '{name}' holds {str(value)[:40]!r}: columns of labels hold 1 "
                "where the label applies and 0 where it does not"
            )
        if cell in _YES:
            chosen.append(name)

    if single and len(chosen) != 1:
        named = ", ".join(chosen) or "none"
        raise DataError(
            f"{where}: {len(chosen)} labels apply ({named}), and the data have one a row "
            "(label_separator = ''): leave label_separator out for any number"
        )
    return chosen[0] if single else tuple(sorted(chosen))


def is_zero_one(rows: Sequence[tuple[int, Mapping[str, Any]]], name: str) -> bool:
    """Tell whether a column says yes and no, and both of them."""
    cells = {str(row.get(name, "")).strip().lower() for _, row in rows} - {""}
    return bool(cells & _YES) and bool(cells & _NO) and cells <= _YES | _NO


def is_one_a_row(rows: Sequence[tuple[int, Mapping[str, Any]]], columns: Sequence[str]) -> bool:
    """Tell whether exactly one of the columns says yes in every row."""
    return all(
        sum(str(row.get(name, "")).strip().lower() in _YES for name in columns) == 1
        for _, row in rows
    )
