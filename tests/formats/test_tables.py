"""CSV in its variants, TSV, JSON lines and lists."""

from __future__ import annotations

import gzip
import json

import pytest

from destila.errors import DataError
from destila.formats import tables
from destila.formats.tables import is_table, rows_and_faults, table_kind, table_rows


def _file(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_of_the_header(tmp_path, delimiter):
    path = _file(tmp_path, "a.csv", f"texto{delimiter}clase\nhola{delimiter}x\n")
    assert list(table_rows(path)) == [(2, {"texto": "hola", "clase": "x"})]


def test_quoted_fields_may_hold_delimiters_quotes_and_line_ends(tmp_path):
    path = _file(tmp_path, "a.csv", 'texto,clase\r\n"uno, ""dos""\r\ntres",x\r\n')
    assert list(table_rows(path)) == [(3, {"texto": 'uno, "dos"\ntres', "clase": "x"})]


def test_in_a_tsv_a_quote_is_a_character(tmp_path):
    path = _file(tmp_path, "a.tsv", 'texto\tclase\n"hola\tx\n')
    assert list(table_rows(path)) == [(2, {"texto": '"hola', "clase": "x"})]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert list(table_rows(_file(tmp_path, "a.csv", "\ufefftexto,clase\na,b\n"))) == [
        (2, {"texto": "a", "clase": "b"})
    ]


def test_too_few_columns_are_an_error_with_the_line(tmp_path):
    with pytest.raises(
        DataError, match=r"a\.csv, line 3: 1 columns, the header has 2 \(texto, clase\)"
    ):
        list(table_rows(_file(tmp_path, "a.csv", "texto,clase\na,b\nc\n")))


def test_a_quote_that_is_never_closed_is_an_error(tmp_path):
    with pytest.raises(DataError, match="a quote is opened and not closed"):
        list(table_rows(_file(tmp_path, "a.csv", 'texto,clase\n"hola,x\nadiós,y\n')))


def test_an_open_quote_costs_its_own_row_alone(tmp_path):
    """The lines up to the next quote, or to the end of the file, are rows again; cells are kept."""
    text = 'texto,clase\n"hola,x\nuno,a\n"dos\ny dos",b\ntres,"c\ncuatro,d\n'
    rows = list(rows_and_faults(_file(tmp_path, "a.csv", text)))
    assert [number for number, _ in rows] == [2, 3, 5, 6, 7]
    assert [row for _, row in rows if isinstance(row, dict)] == [
        {"texto": "uno", "clase": "a"},
        {"texto": "dos\ny dos", "clase": "b"},
        {"texto": "cuatro", "clase": "d"},
    ]
    first, last = rows[0][1], rows[3][1]
    assert "line 2:" in str(first)
    assert first.cells == {"texto": '"hola', "clase": "x"}
    assert last.cells == {"texto": "tres", "clase": '"c'}


def test_a_quote_that_swallows_a_long_file_holds_little_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_LONGEST_ROW", 100)
    text = 'texto,clase\n"hola,x\n' + "uno,a\n" * 500
    rows = list(rows_and_faults(_file(tmp_path, "a.csv", text)))
    assert len(rows) == 501
    assert sum(isinstance(row, dict) for _, row in rows) == 500


def test_a_row_of_another_width_keeps_its_cells(tmp_path):
    rows = list(rows_and_faults(_file(tmp_path, "a.csv", "a,b\nuno\nuno,dos,tres\n")))
    assert [row.cells for _, row in rows] == [{"a": "uno", "b": ""}, {"a": "uno", "b": "dos, tres"}]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_what_spanish_software_saves_is_read(tmp_path, encoding):
    path = _file(tmp_path, "a.csv", "texto;clase\r\n“Año” 5 €;á\r\n".encode(encoding))
    assert list(table_rows(path)) == [(2, {"texto": "“Año” 5 €", "clase": "á"})]


def test_a_given_encoding_is_not_guessed(tmp_path):
    path = _file(tmp_path, "a.csv", "texto,clase\na\xf1o,x\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv is not utf-8: byte 13 is 0xf1"):
        list(table_rows(path, encoding="utf-8"))
    rows = list(rows_and_faults(path, encoding="utf-8"))
    assert rows == [(2, {"texto": "a\ufffdo", "clase": "x"})]


def test_a_name_that_stands_twice_is_refused(tmp_path):
    """Case counts: `Texto` and `texto` are two columns."""
    with pytest.raises(DataError, match=r"names 'texto' more than once \(columns 1 and 3\)"):
        list(table_rows(_file(tmp_path, "a.csv", "texto,clase, texto\na,b,c\n")))
    assert len(list(table_rows(_file(tmp_path, "a.csv", "texto,Texto\na,b\n")))) == 1


def test_a_column_without_a_name_is_called_by_its_number(tmp_path):
    assert list(table_rows(_file(tmp_path, "a.csv", ",texto,\n0,hola,\n"))) == [
        (2, {"column 1": "0", "texto": "hola", "column 3": ""})
    ]


@pytest.mark.parametrize("delimiter", [",,", "", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path, delimiter):
    path = _file(tmp_path, "a.csv", "texto,clase\na,b\n")
    if delimiter:
        with pytest.raises(DataError, match=r"delimiter .*: give one character"):
            list(table_rows(path, delimiter=delimiter))
    assert len(list(table_rows(path, delimiter="|"))) == 1


def test_excels_line_about_the_delimiter_is_no_header(tmp_path):
    path = _file(tmp_path, "a.csv", "sep=|\ntexto|clase\na|b\n")
    assert list(table_rows(path)) == [(3, {"texto": "a", "clase": "b"})]


def test_faults_stand_in_the_places_of_their_rows(tmp_path):
    csv = _file(tmp_path, "a.csv", 'texto,clase\na,b\nc\n"d"e,f\ng,h\n')
    jsonl = _file(tmp_path, "a.jsonl", '{"texto": "a"}\n{no\n\n[1]\n{"texto": "b"}\n')
    for path, lines in ((csv, [2, 3, 4, 5]), (jsonl, [1, 2, 4, 5])):
        rows = list(rows_and_faults(path, needed=["texto"]))
        assert [number for number, _ in rows] == lines
        assert [isinstance(row, DataError) for _, row in rows] == [False, True, True, False]


@pytest.mark.parametrize(("text", "what"), [("", "is empty"), (None, "no file at")])
def test_a_missing_or_empty_file_is_an_error(tmp_path, text, what):
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=what):
        list(table_rows(path))


def test_a_missing_column_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no column 'Label'\. Did you mean 'Labels'"):
        list(table_rows(_file(tmp_path, "a.csv", "Text,Labels\na,b\n"), needed=["Label"]))


def test_a_document_longer_than_the_csv_module_allows_is_read(tmp_path):
    long = "a" * 200_000
    assert (
        next(iter(table_rows(_file(tmp_path, "a.csv", f"texto,clase\n{long},x\n"))))[1]["texto"]
        == long
    )


def test_json_lines_may_be_packed_and_have_blank_lines(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(
        gzip.compress('{"text": "año", "label": 1}\n\n{"text": "b", "label": 2}\n'.encode())
    )
    assert [(n, r["text"]) for n, r in table_rows(path)] == [(1, "año"), (3, "b")]


def test_a_json_file_is_a_list_of_objects(tmp_path):
    assert list(table_rows(_file(tmp_path, "a.json", '[{"text": "a"},\n {"text": "b"}]'))) == [
        (1, {"text": "a"}),
        (2, {"text": "b"}),
    ]
    assert list(table_rows(_file(tmp_path, "a.json", "\n []\n"))) == []
    with pytest.raises(DataError, match="must be a list of objects"):
        list(table_rows(_file(tmp_path, "b.json", '{"data": []}')))


def test_items_of_a_list_may_lie_anywhere_in_its_lines(tmp_path):
    value = [{"text": 'a "[{,}]" \\', "more": [1, {"x": []}]}, {"text": "b"}, {}]
    for indent in (None, 0, 2):
        path = _file(tmp_path, "a.json", json.dumps(value, indent=indent))
        assert [row for _, row in table_rows(path)] == value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[{"a": 1}', "the list is not closed"),
        ('[{"a": 1}}', "the list ends, and '}' follows"),
        ('[{"a": 1}]\n[]', "the list ends, and '\\[\\]' follows"),
        ('[{"a": 1},]', "item 2: not JSON"),
        ("[1]", "item 1: int instead of an object"),
        ("3", "must be a list"),
    ],
)
def test_what_is_no_list_of_objects_is_an_error(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        list(table_rows(_file(tmp_path, "a.json", text)))


@pytest.mark.parametrize(
    ("line", "what"),
    [("{no", "not JSON"), ("[1]", "list instead of an object"), ('{"txt": 1}', "no key 'text'")],
)
def test_a_faulty_json_line_is_an_error_with_its_number(tmp_path, line, what):
    with pytest.raises(DataError, match=rf"a\.jsonl, line 2: .*{what}|line 2: {what}"):
        list(
            table_rows(_file(tmp_path, "a.jsonl", '{"text": "a"}\n' + line + "\n"), needed=["text"])
        )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tsv.gz", "tsv"),
        ("a.b.jsonl", "jsonl"),
        ("esp.train", "csv"),
        ("a.JSON", "json"),
        ("a.xlsx", "xlsx"),
    ],
)
def test_the_kind_comes_from_the_name_packed_or_not(tmp_path, name, expected):
    assert table_kind(tmp_path / name) == expected


def test_a_table_is_told_by_its_ending():
    assert is_table("a.CSV.gz")
    assert is_table("a.xlsx")
    assert not is_table("a.txt")
