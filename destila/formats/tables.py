"""Rows of tables in files: CSV in its variants, TSV, JSON lines and a JSON list, plain or packed.

Every row comes with the line number it ends at, so that a fault can be named.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import open_text
from destila.plugins import nearest

DELIMITERS = (",", ";", "\t")
_LONGEST_FIELD = 2**27
"""Characters; the csv module's own limit of 131,072 is shorter than some documents."""


def kind(path: Path) -> str:
    """`csv`, `tsv`, `jsonl` or `json` by the file's name, packed or not; anything else is read as `csv`."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".zst")]
    last = suffixes[-1] if suffixes else ""
    return {
        ".tsv": "tsv",
        ".tab": "tsv",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".json": "json",
    }.get(last, "csv")


def rows(
    path: Path, *, delimiter: str | None = None, needed: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of any table file as (line number, column -> value); see `csv_rows` and `json_rows`."""
    if kind(path) in ("json", "jsonl"):
        return json_rows(path, needed=needed)
    return csv_rows(path, delimiter="\t" if kind(path) == "tsv" else delimiter, needed=needed)


def csv_rows(
    path: Path, *, delimiter: str | None = None, needed: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header line.

    delimiter: None takes the one of `,` `;` tab that the header has most. A `"` quotes a field (which may then
    hold line ends) unless the delimiter is a tab: there it is a character like any other.
    Raises DataError for a missing column, a row of another width or a quote that is never closed.
    """
    lines = open_text(path)
    header = next(lines)
    delimiter = delimiter or max(DELIMITERS, key=header.count)
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(
        (line + "\n" for source in ((header,), lines) for line in source),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    names = [name.strip() for name in _next(reader, path) or []]
    _check_columns(names, needed, path)
    while (cells := _next(reader, path)) is not None:
        if not cells:
            continue
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {reader.line_num}: {len(cells)} columns, the header has {len(names)}"
                f" ({', '.join(names)[:80]}): repair the row, or quote a text that holds {delimiter!r}"
            )
        yield reader.line_num, dict(zip(names, cells, strict=True))


def json_rows(path: Path, *, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON lines file, or of a file that is one JSON list (numbers then count objects).

    Raises DataError for a line that is not an object or lacks a needed key.
    """
    for number, row in _json_list(path) if kind(path) == "json" else _json_lines(path):
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
    for number, line in enumerate(open_text(path), 1):
        if line.strip():
            yield number, _parse(line, f"{path}, line {number}")


def _json_list(path: Path) -> Iterator[tuple[int, Any]]:
    found = _parse("\n".join(open_text(path)), str(path))
    if not isinstance(found, list):
        raise DataError(
            f"{path}: the file must be a list of objects; one object per line is called .jsonl"
        )
    yield from enumerate(found, 1)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error}): repair it, or give the file the ending of what it is"
        ) from error


def _next(reader: Any, path: Path) -> list[str] | None:
    try:
        found: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}: a quote is opened and not closed, or stands inside a field"
        ) from error
    return found


def _check_columns(names: Sequence[str], needed: Sequence[str], path: Path) -> None:
    for name in needed:
        if name not in names:
            raise DataError(f"{path}: no column '{name}'.{nearest(name, list(names))}")
