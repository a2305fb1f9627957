"""Whatever holds texts, a frame or a column of any library, as rows that a task reads.

No library of frames is imported: what a value can do tells what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from destila.errors import DataError

TextRow = str | Mapping[str, Any]
"""A text, or an object with its parts: `text` and `pair`, `words`, `question` and `context`."""


def is_one(data: object) -> bool:
    """Tell whether something is one text and not many."""
    return data is None or isinstance(data, str | Mapping)


def is_frame(data: object) -> bool:
    """Tell whether something is a table with named columns: of pandas, polars or datasets."""
    return hasattr(data, "column_names") or (hasattr(data, "columns") and hasattr(data, "dtypes"))


def frame_rows(frame: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a frame, each by the names of its columns."""
    # polars, then pandas; a Dataset, or a stream of one, yields its rows itself
    if hasattr(frame, "iter_rows"):
        yield from frame.iter_rows(named=True)
    elif hasattr(frame, "itertuples"):
        names = [str(name) for name in frame.columns]
        for values in frame.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))
    else:
        yield from frame


def text_rows(
    data: Iterable[Any], columns: Mapping[str, str | None] | None = None
) -> Iterator[Any]:
    """Yield texts of a column, a list or a frame as a task reads them; what is none as it is.

    Args:
        data: texts, objects, or a frame.
        columns: what a task calls a part -> the column that holds it, such as `text` -> "texto";
            None or an empty name: the column is called like the part.

    Raises:
        DataError: a row lacks a column.
    """
    wanted = {part: name for part, name in (columns or {}).items() if name}
    source = frame_rows(data) if is_frame(data) else iter(data)
    for number, item in enumerate(source, 1):
        if isinstance(item, str):
            yield str(item)  # numpy has strings of its own
        elif isinstance(item, Mapping):
            yield {**item, **_renamed(item, wanted, number)}
        else:
            # refused by the model, in its place, as everywhere
            yield None if is_missing(item) else item


def is_missing(value: object) -> bool:
    """Tell whether a cell of a frame is empty: None, or the number that is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _renamed(row: Mapping[str, Any], wanted: Mapping[str, str], number: int) -> dict[str, Any]:
    """Return the parts of a row that stand under other names; raise DataError without them."""
    for name in wanted.values():
        if name not in row:
            raise DataError(f"text {number} has no '{name}': it has {', '.join(map(str, row))}")
    return {part: row[name] for part, name in wanted.items()}
