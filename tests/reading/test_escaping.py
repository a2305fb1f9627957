"""What a terminal or a viewer would obey is shown instead."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.reading.escaping import escaped_json, markdown, plain, short_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("El niño\tcomió\n", "El niño\tcomió\n"),
        ("\x1b]0;pwned\x07\x1b[2J", "\\x1b]0;pwned\\x07\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("a\rb", "a\\x0db"),
        ("\ud83d", "\\ud83d"),
    ],
)
def test_a_control_character_is_shown(text, expected):
    assert plain(text) == expected
    expected.encode()


@given(st.text())
def test_escaped_json_means_the_same(text):
    line = escaped_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text
    assert plain(line) == line or "\x7f" in line


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x>", "a|b", "[x](http://y)"]
)
def test_markdown_holds_no_markup(text):
    written = markdown(text)
    assert "<" not in written
    assert not [c for i, c in enumerate(written) if c in "[]|" and written[i - 1] != "\\"]


def test_markdown_stays_on_one_line():
    assert markdown("a\n# b") == "a \\# b"


def test_a_long_value_is_cut():
    assert short_value("a" * 10_000) == repr("a" * 80) + "..."
    assert short_value([1] * 1000) == "a list of 1,000"
    assert short_value(10**5000) == "a number of over 300 digits"
    assert short_value(["a"]) == "['a']"
