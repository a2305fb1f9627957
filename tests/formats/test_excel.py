"""Rows of Excel workbooks."""

from __future__ import annotations

import gc
import io
import zipfile
from datetime import date, datetime

import openpyxl
import pytest

from destila.errors import DataError
from destila.formats.tables import table_rows


def _book(tmp_path, *rows, name="a.xlsx", more=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title in more:
        book.create_sheet(title).append(["texto", "clase"])
    book.save(tmp_path / name)
    return tmp_path / name


def test_the_rows_of_the_first_sheet_are_texts(tmp_path):
    path = _book(
        tmp_path,
        ["texto", "clase", "n", "día", "hora"],
        ["¿Qué tal, “año”?", "x", 3, date(2026, 11, 28), datetime(2026, 11, 28, 9, 30)],
        [],
        ["hola", None, 2.5, None, None],
        more=["otra"],
    )
    assert list(table_rows(path)) == [
        (2, {"texto": "¿Qué tal, “año”?", "clase": "x", "n": "3", "día": "2026-11-28", "hora": "2026-11-28T09:30:00"}),
        (4, {"texto": "hola", "clase": "", "n": "2.5", "día": "", "hora": ""}),
    ]  # fmt: skip


def test_a_sheet_can_be_named(tmp_path):
    path = _book(tmp_path, ["a"], more=["Hoja 2"])
    assert list(table_rows(path, sheet="Hoja 2")) == []
    with pytest.raises(DataError, match=r"no sheet 'Hoja2', it has Sheet, Hoja 2.*Did you mean"):
        list(table_rows(path, sheet="Hoja2"))


def test_a_cell_beyond_the_header_is_an_error(tmp_path):
    path = _book(tmp_path, ["texto", "clase"], ["a", "b", None], ["a", "b", "c"])
    with pytest.raises(DataError, match="line 3: 3 columns, the header has 2"):
        list(table_rows(path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 99, "has a password"),
        (b"texto,clase\na,b\n", "is not a whole zip archive"),
        (None, "no Excel workbook"),
    ],
    ids=["encrypted", "csv", "another zip"],
)
def test_what_is_no_workbook_is_refused(tmp_path, content, what):
    path = tmp_path / "a.xlsx"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "hola")
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=what):
        list(table_rows(path))


@pytest.mark.parametrize("whole", [150, 900])
def test_a_damaged_workbook_is_one_error(tmp_path, whole):
    path = _book(tmp_path, ["texto", "clase"], *[["hola", n] for n in range(99)])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["xl/worksheets/sheet1.xml"] = members["xl/worksheets/sheet1.xml"][:whole]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="is damaged or no Excel workbook") as error:
        list(table_rows(path))

    # The error holds the frames of openpyxl, and they whatever it opened and did not close.
    files = [held for held in gc.get_objects() if type(held) is io.BufferedReader]
    assert error.traceback
    assert [file.name for file in files if not file.closed and file.name == str(path)] == []
