"""Rows of tables in files: CSV in its variants, TSV, JSON lines, a JSON list, Excel.

All are read as a stream. Every row comes with the line number it ends at, so that a fault can be
named; a fault ends the file or, for who labels a million rows, stands in the place of its row.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from destila.errors import DataError
from destila.formats.charset import text_lines
from destila.formats.excel import sheet_rows
from destila.formats.json_lists import json_items
from destila.plugins import nearest
from destila.reading.values import MalformedError, parse_json

DELIMITERS = (",", ";", "\t")
_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
# Characters; the csv module's own limit of 131,072 is shorter than some documents.
_LONGEST_FIELD = 2**27
_LONGEST_ROW = 2**24  # of the lines of a row before its last one

TableRow = tuple[int, dict[str, Any]]
"""Line number, and column -> value."""

RowOrFault = tuple[int, dict[str, Any] | DataError]
"""Line number, and the row or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A line that the csv module refuses: why, and its cells as they stand."""

    why: str
    cells: list[str]


_Cells = tuple[int, list[str] | _Unreadable]


def table_kind(path: Path) -> str:
    """Return `csv`, `tsv`, `jsonl`, `json` or `xlsx` by a file's ending, `csv` for any other."""
    return _KINDS.get(_ending(path), "csv")


def is_table(path: Path | str) -> bool:
    """Tell whether a file is a table by its ending, packed or not."""
    return _ending(Path(path)) in _KINDS


def table_rows(
    path: Path | str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    needed: Sequence[str] = (),
) -> Iterator[TableRow]:
    """Yield the rows of any table file as (line number, column -> value).

    Numbers count lines, or the items of a JSON list. The values of CSV and Excel are texts.

    Args:
        path: of the file, its ending telling the kind.
        delimiter: of a CSV file; None takes the one of `,` `;` tab that the header has most.
        encoding: of the text; None recognises it.
        sheet: of a workbook; None takes the first.
        needed: columns that must be there.

    Raises:
        DataError: on reaching it, for a file or row that is no table, a name that stands twice in
            the header or a column that is missing.
    """
    rows = rows_and_faults(
        path, delimiter=delimiter, encoding=encoding, sheet=sheet, needed=needed, replace=False
    )
    for number, row in rows:
        if isinstance(row, DataError):
            raise row
        yield number, row


def rows_and_faults(
    path: Path | str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    needed: Sequence[str] = (),
    replace: bool = True,
) -> Iterator[RowOrFault]:
    """Yield the rows of any table file, and in the place of a faulty row its error.

    What is wrong with the whole file is raised here too.

    Args:
        path: these are those of `table_rows`.
        delimiter: of a CSV file.
        encoding: of the text.
        sheet: of a workbook.
        needed: columns that must be there.
        replace: bytes that are not in the encoding become U+FFFD rather than an error.
    """
    path = Path(path)
    kind = table_kind(path)
    if kind == "xlsx":
        return _named(sheet_rows(path, sheet), needed, path, short=True)

    # Text: one look at its bytes for the encoding, then line by line.
    lines = text_lines(path, encoding, replace=replace)
    if kind in ("json", "jsonl"):
        return _objects(lines, needed, path)
    cells = _csv_cells(lines, "\t" if kind == "tsv" else delimiter, path)
    return _named(cells, needed, path)


def _ending(path: Path) -> str:
    """Return the ending that tells the kind of a file, in small letters."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".xz", ".zst")]
    return suffixes[-1] if suffixes else ""


def _csv_cells(lines: Iterator[str], delimiter: str | None, path: Path) -> Iterator[_Cells]:
    """Yield the cells of the lines of a CSV file, the header first.

    A `"` quotes a field (which may then hold line ends) unless the delimiter is a tab: there it is
    a character like any other.
    """
    # The header decides about the delimiter; Excel may name it in a line of its own.
    header = next(lines)
    before = 0
    if match := re.fullmatch(r"sep=(.)", header):
        header, delimiter, before = next(lines, ""), delimiter or match[1], 1
    delimiter = delimiter or max(DELIMITERS, key=header.count)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(
            f"{path}: delimiter {delimiter!r}: give one character that is no quote and no line end"
        )

    csv.field_size_limit(_LONGEST_FIELD)
    source = _TakenLines(chain((header,), lines))
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(source, delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        try:
            cells: list[str] | _Unreadable | None = next(reader, None)
        except csv.Error as error:
            cells = _Unreadable(str(error), source.give_back().split(delimiter))
        if cells is None:
            return
        if cells:
            yield before + source.number, cells
        source.taken.clear()


class _TakenLines:
    """The lines of a file as the csv module takes them, who wants the line ends back.

    A quote that nobody closes takes all lines up to the next one, perhaps a million. When such a
    row fails, its first line alone is the faulty one, and the others are given again.

    Attributes:
        taken: lines of the row that is being read.
        number: of the line that was given last, from 1.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.number = self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line, unless those of this row are too long together."""
        self._length = self._length + len(self.taken[-1]) if self.taken else 0
        if self._length > _LONGEST_ROW:
            raise StopIteration

        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self.number += 1
        return line + "\n"

    def give_back(self) -> str:
        """Return the first line of the row; the others are given again."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        self.number -= len(others)
        return first


def _named(
    rows: Iterator[_Cells], needed: Sequence[str], path: Path, *, short: bool = False
) -> Iterator[RowOrFault]:
    """Yield rows of cells as columns and values; the first row has the names.

    Args:
        rows: number and cells.
        needed: columns that must be there.
        path: of the file.
        short: empty cells at the end of a row are not there (as in a workbook).
    """
    number, header = next(rows, (1, [""]))
    if isinstance(header, _Unreadable):
        raise DataError(_explain_quotes(path, number, header.why))
    names = _names(header, path)
    for name in needed:
        if name not in names:
            raise DataError(f"{path}: no column '{name}'.{nearest(name, names)}")

    width = len(names)
    for number, cells in rows:
        if isinstance(cells, _Unreadable):
            message = _explain_quotes(path, number, cells.why)
            yield number, _faulty(message, _cells_of(names, cells.cells))
            continue

        if short:
            cells = [*cells, *[""] * (width - len(cells))]
            cells = cells if any(cells[width:]) else cells[:width]
        if len(cells) == width:
            yield number, dict(zip(names, cells, strict=True))
            continue
        message = (
            f"{path}, line {number}: {len(cells)} columns, the header has {width} "
            f"({', '.join(names)[:80]}): repair the row, or quote a text that holds the delimiter"
        )
        yield number, _faulty(message, _cells_of(names, cells))


def _faulty(message: str, cells: Mapping[str, str]) -> DataError:
    """Return the error of a row that does not fit, with what the row holds."""
    error = DataError(message)
    error.cells = cells
    return error


def _explain_quotes(path: Path, number: int, why: str) -> str:
    return (
        f"{path}, line {number}: {why}: a quote is opened and not closed, or stands inside a field"
    )


def _cells_of(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return what a faulty row has of each column; cells too many stand in the last one."""
    last = len(names) - 1
    fitting = [*cells[:last], ", ".join(cells[last:])]
    return dict(zip(names, [*fitting, *[""] * (len(names) - len(fitting))], strict=False))


def _names(header: Sequence[str], path: Path) -> list[str]:
    """Return the names of the columns; one that has none is called by its number.

    Raises:
        DataError: a name stands twice, so that one column would hide the other.
    """
    names = [name.strip() or f"column {n}" for n, name in enumerate(header, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = " and ".join(str(n) for n, name in enumerate(names, 1) if name == twice[0])
        raise DataError(
            f"{path}: the header names '{twice[0]}' more than once (columns {places}): give each "
            "column its own name"
        )
    return names


def _objects(lines: Iterator[str], needed: Sequence[str], path: Path) -> Iterator[RowOrFault]:
    """Yield the objects of JSON lines, or of a file that is one JSON list."""
    texts: Iterator[tuple[int, str]]
    if table_kind(path) == "json":
        texts = enumerate(json_items(lines, str(path)), 1)
        what = "item"
    else:
        texts = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        what = "line"
    for number, text in texts:
        try:
            yield number, _object(text, needed, f"{path}, {what} {number}")
        except DataError as error:
            yield number, error


def _object(text: str, needed: Sequence[str], where: str) -> dict[str, Any]:
    """Return the object that a text is; raise DataError for another value or a missing key."""
    try:
        row = parse_json(text, missing=True)
    except MalformedError as error:
        raise DataError(
            f"{where}: not JSON ({error}): repair it, or give the file the ending of what it is"
        ) from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: {type(row).__name__} instead of an object with keys")
    for key in needed:
        if key not in row:
            raise DataError(f"{where}: no key '{key}'.{nearest(key, sorted(row))}")
    return row
