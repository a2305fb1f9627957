"""Excel workbooks (.xlsx): the rows of one sheet as texts, read as a stream by openpyxl."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from destila.errors import DataError, require
from destila.formats.archives import open_zip
from destila.plugins import nearest
from destila.reading.blame import Blaming

_ENCRYPTED = b"\xd0\xcf\x11\xe0"
"""What both old and encrypted workbooks begin with."""

_MOST_ROWS = 1 << 20
"""Of a sheet in Excel; openpyxl makes an empty row of every number up to one that lies."""

_REMEDY = "save it again as .xlsx, or as CSV UTF-8"


def sheet_rows(path: Path, sheet: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that hold anything, as (row number, texts of its cells).

    A formula is the value that was last computed of it, a whole number has no decimals, a date is
    written as 2026-11-28.

    Args:
        path: of the workbook.
        sheet: its name; None: the first one.

    Raises:
        DataError: the file is no workbook, or has no such sheet.
        MissingExtraError: openpyxl is not installed.
    """
    openpyxl = require("openpyxl", "excel")
    _check(path)
    # Opened here: openpyxl leaves a file open that it finds damaged.
    with path.open("rb") as file:
        book = _open(openpyxl, file, path)
        try:
            # The dimensions that a file declares are often wrong: what is there is read.
            with _damaged(path):
                worksheet = _sheet(book, sheet, path)
                worksheet.reset_dimensions()
            rows = enumerate(worksheet.iter_rows(values_only=True), 1)
            while (row := _next(rows, path)) is not None:
                if row[0] > _MOST_ROWS:
                    raise DataError(
                        f"{path} has a row beyond {_MOST_ROWS:,}, Excel's last: {_REMEDY}"
                    )
                cells = [_text(value, openpyxl) for value in row[1]]
                if any(cells):
                    yield row[0], cells
        finally:
            book.close()


def _check(path: Path) -> None:
    """Raise DataError for what is no workbook, before it is unpacked."""
    if not path.is_file():
        raise DataError(f"no file at {path}: check the path")
    with path.open("rb") as file:
        if file.read(4) == _ENCRYPTED:
            raise DataError(
                f"{path} is an old Excel file or has a password: save it as .xlsx without one, or "
                "as CSV UTF-8"
            )
    with open_zip(path, remedy=_REMEDY):
        pass


def _open(openpyxl: ModuleType, file: BinaryIO, path: Path) -> Any:
    """Open a workbook for reading alone."""
    # Warnings are of styles and extensions, which nobody reads here.
    with _damaged(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return openpyxl.load_workbook(file, read_only=True, data_only=True)


def _sheet(book: Any, name: str | None, path: Path) -> Any:
    """Return the sheet of a name, or the first one."""
    names = [sheet.title for sheet in book.worksheets]
    if not names:
        raise DataError(f"{path} has no sheet with cells: save the table as .xlsx or as CSV UTF-8")
    if name is not None and name not in names:
        raise DataError(
            f"{path}: no sheet '{name}', it has {', '.join(names)[:200]}.{nearest(name, names)}"
        )
    return book.worksheets[names.index(name) if name is not None else 0]


def _next(rows: Iterator[tuple[int, Any]], path: Path) -> tuple[int, Any] | None:
    """Return the next row, None at the end."""
    with _damaged(path):
        return next(rows, None)


def _damaged(path: Path) -> Blaming:
    """Return what turns the errors of openpyxl, which meets damage anywhere, into one of ours."""
    return Blaming(DataError, f"{path} is damaged or no Excel workbook", remedy=_REMEDY)


def _text(value: Any, openpyxl: ModuleType) -> str:
    """Return a cell's value as text, "" for an empty one."""
    if value is None:
        return ""
    if isinstance(value, date | time):  # a datetime is a date; at midnight it has no time of day
        return value.isoformat().removesuffix("T00:00:00")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # Characters that XML cannot hold, such as the carriage return, are written `_x000D_`.
    return str(openpyxl.utils.escape.unescape(value)) if isinstance(value, str) else str(value)
