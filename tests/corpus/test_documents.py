"""Documents of every kind of file, and bad files."""

from __future__ import annotations

import gzip
import json
import lzma

import pytest
import zstandard

from destila.corpus.documents import documents
from destila.errors import DataError

DOCUMENTS = [["Uno.", "Dos."], ["Tres ñandúes."]]
PLAIN = "\nUno.\nDos.\n \n\nTres ñandúes.\n"
ROWS = "".join(json.dumps({"text": "\n".join(lines), "id": 1}) + "\n" for lines in DOCUMENTS)


@pytest.mark.parametrize(
    "name",
    ["a.txt", "a.txt.gz", "a.txt.xz", "a.txt.zst", "a.jsonl", "a.jsonl.xz", "a.v2.ndjson.gz"],
)
def test_every_form_gives_the_same_documents(tmp_path, name):
    pack = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}
    text = ROWS if "json" in name else PLAIN
    (tmp_path / name).write_bytes(pack.get(name.rpartition(".")[2], bytes)(text.encode()))
    assert list(documents(tmp_path / name)) == DOCUMENTS


def test_a_row_of_parquet_is_a_document(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = ["Uno.\nDos.", None, "", "Tres ñandúes."]
    parquet.write_table(pyarrow.table({"cuerpo": texts, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    assert list(documents(tmp_path / "a.parquet", column="cuerpo")) == DOCUMENTS
    with pytest.raises(DataError, match=r"no column 'text', only \['cuerpo', 'n'\]"):
        list(documents(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"nada")
    with pytest.raises(DataError, match=r"b.parquet is not a Parquet file"):
        list(documents(tmp_path / "b.parquet"))


def test_a_parquet_column_that_is_no_text_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for kind, values in {
        "binary": [b"Uno."],
        "int64": [1],
        "list<element: string>": [["Uno."]],
    }.items():
        parquet.write_table(pyarrow.table({"text": values}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=rf"column 'text' holds {kind}, not text"):
            list(documents(tmp_path / "a.parquet"))
    packed = pyarrow.array(["Uno.", "Uno."]).dictionary_encode()
    parquet.write_table(pyarrow.table({"text": packed}), tmp_path / "a.parquet")
    assert list(documents(tmp_path / "a.parquet")) == [["Uno."], ["Uno."]]


def test_a_long_document_is_cut_between_lines(tmp_path):
    (tmp_path / "a.txt").write_text("aaaa\nbbbb\ncccccccccccc\nd\ne\n", encoding="utf-8")
    assert list(documents(tmp_path / "a.txt", longest=8)) == [
        ["aaaa", "bbbb"],
        ["cccccccccccc"],
        ["d", "e"],
    ]


def test_half_a_pair_from_json_does_not_reach_the_corpus(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud83db"}\n', encoding="utf-8")
    assert list(documents(tmp_path / "a.jsonl")) == [["a\ufffdb"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", "año\nniño\n".encode("latin-1"), "not utf-8: byte 1 is 0xf1"),
        ("a.txt", b"bien\nmal\x00mal\n", "line 2 holds a zero byte"),
        ("a.xz", b"nada", "is damaged or is not a .xz file"),
        ("a.xz", lzma.compress(b"bien\n" * 99)[:-20], "is damaged"),
        ("a.jsonl", b'{"text": "uno"}\n{"text": 1}\n', "line 2 has no text under 'text'"),
        ("a.jsonl", b'{"text": \n', "line 1 is not JSON"),
        ("a.jsonl", b'{"text": ' + b"[" * 200_000 + b"\n", "line 1 is not JSON"),
        (
            "a.zst",
            zstandard.ZstdCompressor().compress(b"bien\n" * 99)[:-5],
            "is damaged: it ends in the middle",
        ),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(documents(tmp_path / name))


def test_a_file_without_line_ends_is_refused(tmp_path, monkeypatch):
    """It is refused before it fills the memory."""
    monkeypatch.setattr("destila.corpus.documents.LONGEST_LINE", 1 << 20)
    (tmp_path / "a.txt").write_bytes(b"a" * (3 << 20))
    with pytest.raises(DataError, match=r"line of over 1,048,576 bytes at byte 0"):
        list(documents(tmp_path / "a.txt"))


def test_a_zero_byte_after_much_text_is_dropped(tmp_path):
    (tmp_path / "ley.txt").write_bytes(b"una ley\n" * 1000 + b"art\x00culo 1\x00\n")
    [document] = documents(tmp_path / "ley.txt")
    assert document[-2:] == ["una ley", "artculo 1"]


@pytest.mark.parametrize("name", ["nada.txt", "nada.jsonl.gz", "nada.parquet"])
def test_a_missing_file_is_refused_before_it_is_read(tmp_path, name):
    with pytest.raises(DataError, match="no file at"):
        documents(tmp_path / name)
