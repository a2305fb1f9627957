"""Encodings told from bytes."""

from __future__ import annotations

import pytest

from destila.errors import DataError
from destila.files import open_text
from destila.formats.charset import detect_encoding

TEXT = "texto;clase\n¿Cuánto cuesta el café de Ibáñez?;queja\nMañana irá la señora Núñez;elogio\n"
SIGNS = TEXT + "Son 5 € — «dijo» “así”…;queja\n"


@pytest.mark.parametrize(
    ("text", "written", "detected"),
    [
        (SIGNS, "utf-8", "utf-8"),
        (SIGNS, "utf-8-sig", "utf-8"),
        (SIGNS, "utf-16", "utf-16"),
        (SIGNS, "utf-16-le", "utf-16-le"),
        (SIGNS, "utf-16-be", "utf-16-be"),
        (SIGNS, "utf-32", "utf-32"),
        (SIGNS, "cp1252", "cp1252"),
        (TEXT, "latin-1", "cp1252"),
        (TEXT + "5 €", "iso8859-15", "iso8859-15"),
        (TEXT, "mac-roman", "mac-roman"),
        (TEXT, "cp850", "cp850"),
        ("nada especial\n", "ascii", "utf-8"),
        ("solo comillas: it’s “so” – y…\n", "cp1252", "cp1252"),
    ],
)
def test_text_is_read_as_it_was_written(tmp_path, text, written, detected):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(written))
    assert detect_encoding(path) == detected
    assert list(open_text(path, encoding=detected)) == text.splitlines()


def test_a_mark_of_big_endian_is_read_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert list(open_text(path, encoding=detect_encoding(path))) == TEXT.splitlines()


def test_one_broken_byte_does_not_make_utf8_another_encoding(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(SIGNS.encode() + b"a\xf1o\n")
    assert detect_encoding(path) == "utf-8"
    with pytest.raises(DataError, match=r"is not utf-8: byte \d+ is 0xf1"):
        list(open_text(path, encoding="utf-8"))


def test_a_replacement_character_in_the_file_is_no_broken_byte(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("hola \ufffd\n", encoding="utf-8")
    assert detect_encoding(path) == "utf-8"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"bien\n\xff\x00\x01", "zero bytes"),
        ("Где находится библиотека?".encode("cp1251"), "give its encoding"),
    ],
)
def test_what_is_no_spanish_text_is_refused(tmp_path, content, what):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what):
        detect_encoding(path)


def test_an_encoding_that_does_not_exist_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("hola\n")
    for name in ("cp9999", "base64", "rot13"):
        with pytest.raises(DataError, match=f"encoding '{name}' is unknown"):
            open_text(tmp_path / "a.csv", encoding=name)
