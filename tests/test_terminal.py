"""What a person reads: units, no noise, no markup of a user's names, the next command last."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from destila.terminal import cell, draw_card, in_duration


def drawn(card, width=100):
    console = Console(file=io.StringIO(), width=width)
    draw_card(card, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("latency_ms", 170.4, "170 ms"),
        ("latency_ms", 2.5512, "2.55 ms"),
        ("latency_ms", 9.4e3, "9,400 ms"),
        ("latency_ms", 75_000.0, "1 minute"),
        ("size_mb", 12.02, "12.0 MB"),
        ("size_bytes", 3_100_000, "3.10 MB"),
        ("bytes", 2_500_000_000, "2.50 GB"),
        ("speed_up", 3.7012, "3.70×"),
        ("minutes", 1.0, "1 minute"),
        ("changed_share", 0.318, "31.8 %"),
        ("score", 0.57333, "0.573"),
        ("lr", 0.0000512, "0.0000512"),
        ("rows", 68868, "68,868"),
        ("sd", None, "–"),
        ("columns", {"text": "Descripción", "label": "tema"}, "text Descripción, label tema"),
        ("labels", ["no", "sí"], "no, sí"),
        ("pieces", [16000, 1622], "16,000, 1,622"),
        ("notes", {}, "–"),
        ("items", [], "–"),
        ("stable", True, "yes"),
        ("labels", list(range(20)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"),
    ],
)
def test_a_cell_is_for_people(key, value, text):
    assert cell(key, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.420 seconds"),
        (42, "42 seconds"),
        (59.7, "1 minute"),
        (3599, "1 hour"),
        (7500, "2 hours 5 minutes"),
    ],
)
def test_durations_are_in_words(seconds, text):
    assert in_duration(seconds) == text


def test_empty_columns_go_and_markup_stays_text():
    rows = [{"model": "[red]a[/red]", "sd": None, "n": 1}, {"model": "b", "sd": None, "n": 20}]
    text = drawn(
        {"title": "[b]t", "rows": rows, "lines": ["see [x]"], "next": "destila run r.toml"}
    )
    assert "±" not in text
    assert "[red]a[/red]" in text
    assert text.splitlines()[0] == "[b]t"
    assert text.splitlines()[-1] == "next: destila run r.toml"
    assert "see [x]" in text


def test_a_card_without_rows_is_keys_and_values():
    text = drawn({"title": "t", "out": "x", "data": {"rows": 3}, "lines": 12})
    assert [line.split() for line in text.splitlines()] == [
        ["t"],
        ["out", "x"],
        ["data.rows", "3"],
        ["lines", "12"],
    ]


def test_sections_follow_one_another():
    text = drawn({"sections": [{"title": "a", "lines": ["one"]}, {"title": "b", "lines": ["two"]}]})
    assert text.split() == ["a", "one", "b", "two"]


def test_a_long_sentence_is_not_broken():
    assert drawn({"lines": ["palabra " * 40]}, width=40).count("\n") == 1
