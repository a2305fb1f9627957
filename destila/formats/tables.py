"""Rows of tables in files: CSV in its variants, TSV, JSON lines and a JSON list, plain or packed.

Every row comes with the line number it ends at, so that a fault can be named.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import open_text
from destila.plugins import nearest

DELIMITERS = (",", ";", "\t")
_KINDS = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
# Characters; the csv module's own limit of 131,072 is shorter than some documents.
_LONGEST_FIELD = 2**27


def table_kind(path: Path) -> str:
    """Return `csv`, `tsv`, `jsonl` or `json` by a file's ending, `csv` for any other."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".zst")]
    return _KINDS.get(suffixes[-1], "csv") if suffixes else "csv"


def table_rows(
    path: Path, *, delimiter: str | None = None, needed: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of any table file as (line number, column -> value).

    See `csv_rows` and `json_rows` for the arguments.
    """
    kind = table_kind(path)
    if kind in ("json", "jsonl"):
        return json_rows(path, needed=needed)
    return csv_rows(path, delimiter="\t" if kind == "tsv" else delimiter, needed=needed)


def csv_rows(
    path: Path, *, delimiter: str | None = None, needed: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file with a header line.

    A `"` quotes a field (which may then hold line ends) unless the delimiter is a tab: there it is
    a character like any other.

    Args:
        path: of the file.
        delimiter: None takes the one of `,` `;` tab that the header has most.
        needed: columns that must be there.

    Raises:
        DataError: a column is missing, a row is of another width or a quote is never closed.
    """
    # The header decides about the delimiter.
    lines = open_text(path)
    header = next(lines)
    delimiter = delimiter or max(DELIMITERS, key=header.count)

    # The csv module wants the line ends back, which fields may hold.
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(
        (line + "\n" for line in chain((header,), lines)),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
        strict=True,
    )

    # Needed columns are looked for before any row is read.
    names = [name.strip() for name in _next_row(reader, path) or []]
    for name in needed:
        if name not in names:
            raise DataError(f"{path}: no column '{name}'.{nearest(name, names)}")

    # Every row has as many cells as the header.
    while (cells := _next_row(reader, path)) is not None:
        if not cells:
            continue
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {reader.line_num}: {len(cells)} columns, the header has {len(names)}"
                f" ({', '.join(names)[:80]}): repair the row, or quote a text that holds "
                f"{delimiter!r}"
            )
        yield reader.line_num, dict(zip(names, cells, strict=True))


def json_rows(path: Path, *, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON lines file, or of a file that is one JSON list.

    Numbers count lines, or the objects of the list.

    Raises:
        DataError: a line is not an object or lacks a needed key.
    """
    rows = _json_list(path) if table_kind(path) == "json" else _json_lines(path)
    for number, row in rows:
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: {type(row).__name__} instead of an object with keys"
            )
        for key in needed:
            if key not in row:
                raise DataError(
                    f"{path}, line {number}: no key '{key}'.{nearest(key, sorted(row))}"
                )
        yield number, row


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the value of every line that is not blank."""
    for number, line in enumerate(open_text(path), 1):
        if line.strip():
            yield number, _parse(line, f"{path}, line {number}")


def _json_list(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the values of a JSON list."""
    values = _parse("\n".join(open_text(path)), str(path))
    if not isinstance(values, list):
        raise DataError(
            f"{path}: the file must be a list of objects; one object per line is called .jsonl"
        )
    yield from enumerate(values, 1)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error}): repair it, or give the file the ending of what it is"
        ) from error


def _next_row(reader: Any, path: Path) -> list[str] | None:
    """Read the next row, None at the end."""
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}: a quote is opened and not closed, or stands "
            "inside a field"
        ) from error
    return row
