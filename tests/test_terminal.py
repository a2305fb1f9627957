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
        ("score", 0.57333, "57.33"),
        ("dev_score", 1.0, "100.00"),
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


STUDY = {
    "model": "balanced-of-three",
    "role": "fine-tuned",
    "score": 0.58333,
    "latency_ms": 6.2,
    "speed_up": 3.1,
    "size_mb": 0.31,
    "params": 109_853_187,
}


LATER = ("latency", "speed-up", "size", "parameters")


@pytest.mark.parametrize("width", [100, 80, 70, 60, 40])
def test_no_number_and_no_short_word_is_broken(width):
    lines = drawn({"rows": [STUDY, STUDY | {"model": "b"}]}, width).splitlines()
    assert all(len(line) <= width for line in lines if not line.startswith("("))
    words = {"fine-tuned", "58.33", "6.20 ms", "3.10×", "0.310 MB", "109,853,187"}
    shown = {word for word in words if word in "\n".join(lines)}
    left_out = [name for name in LATER if name in lines[-1]]
    assert len(shown) + len(left_out) * (lines[-1][0] == "(") == len(words)
    assert ("for a wider terminal" in lines[-1]) == (width < 80)


def test_a_path_breaks_behind_a_slash():
    row = {"name": "a", "path": "/home/ana/recetas/experimentos/una-receta.toml", "about": "Qué?"}
    cells = [line.split() for line in drawn({"rows": [row]}, 40).splitlines()[2:]]
    assert (
        "".join(cell for line in cells for cell in line if cell not in ("a", "Qué?")) == row["path"]
    )
    assert all(cell.endswith(("/", "-", ".toml", "a", "Qué?")) for line in cells for cell in line)
