"""Lines of plain and packed files, and the errors of bad ones."""

from __future__ import annotations

import gzip
import io

import pytest
import zstandard

from destila import files
from destila.errors import DataError
from destila.files import open_text, write_text
from destila.reading import unpacked

TEXT = "El niño\n\nhacía frío 😀\r\nfin"
LINES = ["El niño", "", "hacía frío 😀", "fin"]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.txt", bytes),
        ("a.txt.gz", gzip.compress),
        ("a.txt.zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_plain_and_packed_files_give_the_same_lines(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(TEXT.encode()))
    assert list(open_text(tmp_path / name)) == LINES


def test_frames_that_follow_each_other_are_all_read(tmp_path):
    pack = zstandard.ZstdCompressor().compress
    (tmp_path / "a.zst").write_bytes(pack(b"uno\n") + pack(b"dos\n"))
    assert list(open_text(tmp_path / "a.zst")) == ["uno", "dos"]


def test_lines_are_whole_wherever_the_chunks_end(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8", newline="")
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(unpacked, "_CHUNK", size)
        assert list(open_text(tmp_path / "a.txt")) == LINES


def test_packed_files_are_whole_wherever_the_reads_end(tmp_path, monkeypatch):
    pack = zstandard.ZstdCompressor().compress
    (tmp_path / "a.zst").write_bytes(pack(TEXT[:5].encode()) + pack(b"") + pack(TEXT[5:].encode()))
    for size in (1, 2, 7, 30):
        monkeypatch.setattr(unpacked, "_PACKED", size)
        assert list(open_text(tmp_path / "a.zst")) == LINES


def test_only_line_feeds_end_lines(tmp_path):
    (tmp_path / "a.txt").write_text("a\u2028b\x0bc\x85d\ne", encoding="utf-8")
    assert list(open_text(tmp_path / "a.txt")) == ["a\u2028b\x0bc\x85d", "e"]


def test_a_byte_order_mark_is_dropped(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffaño\n".encode())
    assert list(open_text(tmp_path / "a.txt")) == ["año"]


def test_another_encoding_can_be_asked_for(tmp_path):
    (tmp_path / "a.txt").write_bytes("año\n".encode("latin-1"))
    assert list(open_text(tmp_path / "a.txt", encoding="latin-1")) == ["año"]


@pytest.mark.parametrize("size", [4, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_wrong_byte_is_named_with_its_place(tmp_path, monkeypatch, size, mark):
    monkeypatch.setattr(unpacked, "_CHUNK", size)
    content = mark + "año\ncasa\n".encode() + "ñandú\n".encode("latin-1")
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.txt is not utf-8: byte {len(mark) + 10} is 0xf1"):
        list(open_text(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("año\n".encode("latin-1"), "iconv -f cp1252"),
        ("año\n".encode("utf-16"), "It is UTF-16: convert it, e.g. iconv -f utf-16"),
        (b"bien\n\xff\x00", "holds zero bytes, so it is no text"),
    ],
    ids=["latin-1", "utf-16", "binary"],
)
def test_what_helps_depends_on_what_the_file_looks_like(tmp_path, content, remedy):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=remedy):
        list(open_text(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", b""), ("a.gz", gzip.compress(b"", mtime=0))],
    ids=["plain", "gzip"],
)
def test_an_empty_file_is_an_error_at_once(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        open_text(tmp_path / name)


def test_a_missing_file_and_a_folder_are_errors_at_once(tmp_path):
    with pytest.raises(DataError, match="no file at"):
        open_text(tmp_path / "nada.txt")
    with pytest.raises(DataError, match="is a folder"):
        open_text(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gz", b"no es gzip"),
        ("a.gz", gzip.compress(b"hola " * 99, mtime=0)[:-9]),
        ("a.zst", b"no es zstd"),
        ("a.zst", zstandard.ZstdCompressor().compress(b"hola " * 99)[:-3]),
        ("a.zst", zstandard.ZstdCompressor().compress(b"hola\n") + b"resto"),
    ],
)
def test_a_damaged_archive_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        list(open_text(tmp_path / name))


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path):
    write_text(tmp_path / "new" / "a.json", "uno\n")
    write_text(tmp_path / "new" / "a.json", "año\r\n")
    assert (tmp_path / "new" / "a.json").read_bytes() == "año\r\n".encode()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_write_that_fails_keeps_the_old_file(tmp_path):
    write_text(tmp_path / "a.json", "viejo")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.json", "\ud83d")
    assert (tmp_path / "a.json").read_text() == "viejo"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_stream_gives_its_lines_as_they_arrive():
    """It names itself in errors."""
    assert list(files.stream_text(io.BytesIO(TEXT.encode()), "here")) == LINES
    assert list(files.stream_text(io.BytesIO(b""), "here")) == []
    lines = files.stream_text(io.BytesIO("uno\naño\n".encode("latin-1")), "here")
    assert next(lines) == "uno"
    with pytest.raises(DataError, match="here is not utf-8: byte 5 is 0xf1"):
        next(lines)


def test_a_line_of_any_length_takes_linear_time(tmp_path, monkeypatch):
    """A line of many chunks is joined once."""
    monkeypatch.setattr(unpacked, "_CHUNK", 100)
    (tmp_path / "a.txt").write_bytes(b"a" * 2_000_000 + b"\nb")
    assert [len(line) for line in open_text(tmp_path / "a.txt")] == [2_000_000, 1]


def test_a_line_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "_CHUNK", 100)
    (tmp_path / "a.txt").write_bytes(b"uno\n" + b"a" * 1000)
    lines = open_text(tmp_path / "a.txt", longest=500)
    assert next(lines) == "uno"
    with pytest.raises(DataError, match="has a line of over 500 bytes at byte 4"):
        next(lines)


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"hola\n" * 100_000, mtime=0))
    assert sum(1 for _ in open_text(tmp_path / "a.gz")) == 100_000
    monkeypatch.setattr(unpacked, "_UNPACKED", 1000)
    with pytest.raises(DataError, match=r"a\.gz unpacks to over"):
        list(open_text(tmp_path / "a.gz"))


def test_wrong_bytes_can_be_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"uno\na\xf1o\n")
    assert list(open_text(tmp_path / "a.txt", replace=True)) == ["uno", "a\ufffdo"]
