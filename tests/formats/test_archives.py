"""Zip archives of strangers."""

from __future__ import annotations

import zipfile

import pytest

from destila.errors import DataError
from destila.formats import archives


def _zip(tmp_path, content=b"hola " * 99):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", content)
    return tmp_path / "a.zip"


def _read(path):
    with archives.open_zip(path, remedy="get it again") as archive:
        return archive.read("a.txt")


def _change(path, *, flags=None, method=None):
    """Write other flags, or another method, into both headers of the only member."""
    data = bytearray(path.read_bytes())
    for place in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        if flags is not None:
            data[place] |= flags
        if method is not None:
            data[place + 2 : place + 4] = method.to_bytes(2, "little")
    path.write_bytes(data)
    return path


def test_a_whole_archive_is_read(tmp_path):
    assert _read(_zip(tmp_path)) == b"hola " * 99


def test_what_cannot_be_unpacked_is_one_error(tmp_path):
    with pytest.raises(DataError, match=r"is encrypted .'a\.txt'.: get it again"):
        _read(_change(_zip(tmp_path), flags=1))
    with pytest.raises(DataError, match="by method 99, which is unknown"):
        _read(_change(_zip(tmp_path), method=99))


def test_a_damaged_archive_is_one_error(tmp_path):
    path = _zip(tmp_path)
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a whole zip archive"):
        _read(path)
    path.write_bytes(data[:-30])
    with pytest.raises(DataError, match="not a whole zip archive"):
        _read(path)


def test_an_archive_that_is_too_large_inside_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_LARGEST", 1000)
    assert len(_read(_zip(tmp_path, b"a" * 1000))) == 1000
    with pytest.raises(DataError, match="unpacks to over 1,000 bytes"):
        _read(_zip(tmp_path, b"a" * 1001))
