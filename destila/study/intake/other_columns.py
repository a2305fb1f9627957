"""Which other columns of a table could be its text or its label, for who has to choose."""

from __future__ import annotations

from collections.abc import Sequence

from destila.datasets._split import LONGEST_LABEL
from destila.datasets.table import Columns, count_values, mean_length
from destila.formats.tables import TableRow

_LOOKED_AT = 2000
_MOST_LABELS = 50
_SHORTEST_TEXT = 0.25
"""Of the mean length of the chosen text: a column of shorter ones is a title or a name."""


def other_texts(rows: Sequence[TableRow], columns: Columns) -> list[str]:
    """Return further columns that hold texts of about the length of the chosen one."""
    rows = rows[:_LOOKED_AT]
    least = _SHORTEST_TEXT * mean_length(rows, columns.text)
    return [
        name
        for name in _free(rows, columns)
        if mean_length(rows, name) >= least and _has_words(rows, name)
    ]


def other_labels(rows: Sequence[TableRow], columns: Columns) -> dict[str, int]:
    """Return further columns with few different short values, and how many these are."""
    rows = rows[:_LOOKED_AT]
    counts = {name: count_values(rows, name) for name in _free(rows, columns)}
    most = min(_MOST_LABELS, len(rows) // 3)
    return {
        name: count
        for name, count in counts.items()
        if 2 <= count <= most and mean_length(rows, name) <= LONGEST_LABEL
    }


def _free(rows: Sequence[TableRow], columns: Columns) -> list[str]:
    """Return the columns that have no role."""
    taken = set(columns.names().values())
    return [name for name in rows[0][1] if name not in taken]


def _has_words(rows: Sequence[TableRow], name: str) -> bool:
    """Tell whether most cells of a column are several words, and few are alike."""
    texts = [str(row.get(name) or "").strip() for _, row in rows]
    several = sum(" " in text for text in texts)
    return several > len(texts) / 2 and len(set(texts)) > len(texts) / 2
