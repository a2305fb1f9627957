"""JSON and TOML with limits: what real files hold passes, what only an attack holds is one error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.errors import ModelError
from destila.reading import values
from destila.reading.values import MalformedError, parse_json, parse_toml

DEEP = values.MOST_DEPTH
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(TREES)
def test_json_is_read_as_the_standard_library_reads_it(value):
    text = json.dumps(value, ensure_ascii=False)
    if "Infinity" not in text:
        assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested more than"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested more than"),
        ("[" * (DEEP + 1) + "]" * (DEEP + 1), "nested more than"),
        ("9" * 5000, "an integer of over 4,300 digits"),
        ("[NaN]", "NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number"),
        ("", "Expecting value at column 1"),
        ("[1,\n2", "at line 2"),
    ],
)
def test_what_is_no_json_of_a_person_is_refused(text, reason):
    with pytest.raises(MalformedError, match=reason):
        parse_json(text)


def test_brackets_in_texts_are_not_depth():
    """Only brackets that open a container count, and a hundred of them may."""
    smileys = json.dumps([[":[" * 500], ["{" * 500]])
    assert parse_json(smileys) == json.loads(smileys)
    assert parse_json("[" * DEEP + "]" * DEEP)


def test_half_an_emoji_is_replaced_wherever_it_stands():
    assert parse_json(r'{"\udc00": ["\ud83d hola", "\ud83d\ude00"]}') == {"�": ["� hola", "😀"]}


def test_nan_may_be_null_and_a_key_twice_may_be_refused():
    assert parse_json('{"a": NaN}', missing=True) == {"a": None}
    assert parse_json('{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(MalformedError, match="'a' occurs twice"):
        parse_json('{"a": 1, "a": 2}', unique=True)
    with pytest.raises(MalformedError, match="Infinity"):
        parse_json("Infinity", missing=True)


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 100_000, "a" + ".a" * 300 + " = 1", "a" + ".a" * 500_000 + " = 1"]
)
def test_deep_tables_are_refused(text):
    with pytest.raises(MalformedError, match="nested more than"):
        parse_toml(text)


def test_endless_integers_are_no_toml():
    with pytest.raises(MalformedError, match="4,300 digits"):
        parse_toml("x = " + "1" * 5000)


def test_a_file_is_bounded_and_utf8(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert values.read_json_object(path, ModelError, remedy="x") == {"a": 1}
    with pytest.raises(ModelError, match=r"has 11 bytes, at most 10 are read: get it again"):
        values.read_utf8(path, ModelError, remedy="get it again", most_bytes=10)
    path.write_bytes(b'{"a": "\xf1"}')
    with pytest.raises(ModelError, match=r"not UTF-8: byte 7 is 0xf1: get it again"):
        values.read_json(path, ModelError, remedy="get it again")
    path.write_text("[1]")
    with pytest.raises(ModelError, match="must hold a JSON object, not list"):
        values.read_json_object(path, ModelError, remedy="x")


@pytest.mark.parametrize("text", ["²", "٣", "-1", "1.0", "", " 1", "1" * 30])
def test_a_whole_number_is_digits_of_ascii(text):
    assert not values.is_whole_number(text)
    assert values.is_whole_number("017")
