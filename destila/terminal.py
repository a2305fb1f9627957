"""How results look on a terminal: cells with their units, tables, cards.

A card is what the `show` of a command returns; all of it is optional:

    title      above the table
    rows       a list of dicts with equal keys, each a line of the table
    lines      sentences below the table
    sections   cards, one below the other
    next       the command to type next, or several

Other keys of a card without rows are drawn as a table of keys and values. A number's unit is the
ending of its key: `latency_ms`, `size_mb`, `size_bytes`, `seconds`, `minutes`, `changed_share`,
`speed_up`, `score`. A column that is empty in every row is left out.

A table that is too wide is made narrower at its longest texts, which break between words, behind a
slash or a hyphen. Where that is not enough the last columns are left out, and named below: no
number is ever broken, nor a word of up to 20 characters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from destila.reading.escaping import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

DASH = "–"
"""What stands for a value that is not there."""

_PARTS = ("title", "rows", "lines", "sections", "next")
_COLUMN_NAMES = {
    "params": "parameters",
    "sd": "±",
    "speed_up": "speed-up",
    "main": "main score",
    "macs": "multiply-adds",
    "bytes": "size",
    "f1": "F1",
    "megabytes": "size",
}
_LISTED = 12
"""Items of a list that a cell shows."""

_GAP = 2
"""Blanks between two columns of a table."""

_LONGEST_WORD = 20
"""Characters of a word, such as a path, that may be broken behind a slash, or anywhere."""

_PARTS_OF_TEXT = re.compile(r".*?(?:/|(?<=\w)-(?=\w)|\s+|$)", re.DOTALL)
"""A word with the blanks behind it, a part of a path with its slash, of a name with its hyphen."""


def draw_card(card: Mapping[str, Any], console: Console) -> None:
    """Draw a card on a console: its table, its sentences, its sections, and what to type next."""
    from rich.text import Text

    def write(text: str) -> None:
        """Write a line: names are a user's, so no markup of theirs counts; never broken by us."""
        console.print(Text(plain(text)), soft_wrap=True)

    # Sentences to show, or, of a tokenizer, how many lines of text it has read.
    lines = card.get("lines", ())
    sentences = lines if isinstance(lines, list | tuple) else ()

    rows = card.get("rows")
    if card.get("title"):
        write(str(card["title"]))
    if rows:
        table, left_out = _table(rows, console.width)
        console.print(table)
        if left_out:
            write(f"(for a wider terminal: {', '.join(left_out)})")
    elif rows is None:
        hidden = _PARTS if sentences else tuple(part for part in _PARTS if part != "lines")
        facts = {key: value for key, value in card.items() if key not in hidden}
        if facts:
            console.print(_fact_table(facts))
    # Air between the table and what is said about it.
    if sentences and rows:
        write("")
    for sentence in sentences:
        write(str(sentence))

    for section in card.get("sections", ()):
        write("")
        draw_card(section, console)

    # One command or several, each on a line of its own, to be copied.
    following = card.get("next") or ()
    if following:
        write("")
    for command in (following,) if isinstance(following, str) else following:
        write(f"next: {command}")


def cell(key: str, value: Any) -> str:
    """Write a value as a table shows it, in the unit that the ending of its key names."""
    if value is None or value == "" or (isinstance(value, list | tuple | dict) and not value):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {cell(str(name), inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        shown = [cell(key, item) for item in value[:_LISTED]]
        more = len(value) - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    if isinstance(value, int | float):
        return _unit_of(key)(value)
    return str(value)


def in_figures(value: float) -> str:
    """Write a number in three figures, without an exponent: 170, 40.4, 0.573, 0.006, 0.0000512."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or (isinstance(value, int) and not isinstance(value, bool)):
        return f"{value:,.0f}"

    # Three digits behind the point at most, but for what would then be lost, as a learning rate.
    magnitude = math.floor(math.log10(abs(value)))
    digits = 2 - magnitude if magnitude < -3 else min(3, max(0, 2 - magnitude))
    return f"{value:,.{digits}f}"


def in_points(value: float) -> str:
    """Write a score, a ratio, as reports do: "58.33"."""
    return f"{100 * value:.2f}"


def in_milliseconds(value: float) -> str:
    """Write milliseconds, from ten seconds on as seconds: "170 ms"."""
    return f"{in_figures(float(value))} ms" if value < 10_000 else in_duration(value / 1000)


def in_units_of_bytes(value: float) -> str:
    """Write bytes as MB (10^6), or as GB: "12.0 MB"."""
    size = float(value) / 1e6
    return f"{in_figures(size)} MB" if size < 1000 else f"{in_figures(size / 1000)} GB"


def in_duration(seconds: float) -> str:
    """Write a duration in words: "4.2 seconds", "1 minute", "2 hours 5 minutes"."""
    if seconds < 59.5:
        amount = in_figures(float(seconds)) if seconds < 10 else f"{seconds:.0f}"
        return f"{amount} seconds"

    # Minutes are enough from one minute on.
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = ((hours, "hour"), (minutes, "minute"))
    return " ".join(f"{n} {unit}{'s' * (n > 1)}" for n, unit in parts if n)


def _unit_of(key: str) -> Callable[[float], str]:
    """Return what writes a number under a key."""
    for ending, write in _UNITS.items():
        if key == ending.lstrip("_") or key.endswith(ending):
            return write
    return in_figures


_UNITS: dict[str, Callable[[float], str]] = {
    "_ms": in_milliseconds,
    "_mb": lambda value: in_units_of_bytes(value * 1e6),
    "megabytes": lambda value: in_units_of_bytes(value * 1e6),
    "bytes": in_units_of_bytes,
    "seconds": in_duration,
    "minutes": lambda value: in_duration(60 * value),
    "share": lambda value: f"{100 * value:.1f} %",
    "score": in_points,
    "sd": in_points,
    "points": in_points,
    "precision": in_points,
    "recall": in_points,
    "f1": in_points,
    "speed_up": lambda value: f"{in_figures(float(value))}×",
}


def _column_name(key: str) -> str:
    """Name a column for people: without the unit, which every cell has."""
    if key in _COLUMN_NAMES:
        return _COLUMN_NAMES[key]
    for ending in ("_ms", "_mb", "_bytes"):
        key = key.removesuffix(ending)
    return key.replace("_", " ")


def _table(rows: Sequence[Mapping[str, Any]], width: int) -> tuple[Table, list[str]]:
    """Draw rows as a table, without the columns that are empty in all; numbers to the right.

    Returns:
        The table, and the names of the columns that the width has no room for.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # The columns are the keys of the first row.
    values = {key: [row.get(key) for row in rows] for key in rows[0]}
    columns = {key: [plain(cell(key, each)) for each in values[key]] for key in values}
    columns = {key: texts for key, texts in columns.items() if any(x != DASH for x in texts)}
    names = {key: plain(_column_name(key)) for key in columns}
    numeric = {
        key: all(each is None or isinstance(each, int | float) for each in values[key])
        for key in columns
    }
    widths = _fitted(
        [[names[key], *columns[key]] for key in columns], list(numeric.values()), width
    )

    shown = list(columns)[: len(widths)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for key, room in zip(shown, widths, strict=True):
        name = Text(_broken(names[key], room))
        table.add_column(name, width=room, justify="right" if numeric[key] else "left")
        columns[key] = [_broken(text, room) for text in columns[key]]
    for line in zip(*(columns[key] for key in shown), strict=True):
        table.add_row(*map(Text, line))
    return table, [names[key] for key in list(columns)[len(widths) :]]


def _fitted(columns: Sequence[Sequence[str]], numeric: Sequence[bool], width: int) -> list[int]:
    """Return the widths of as many columns as have room, the first ones.

    Args:
        columns: the texts of each, its name first.
        numeric: whether a column's texts are numbers, which are never broken; its name may be.
        width: of the terminal.
    """
    from rich.cells import cell_len

    natural = [max(map(cell_len, texts)) for texts in columns]
    least = []
    for texts, is_number in zip(columns, numeric, strict=True):
        words = max(cell_len(word) for text in texts for word in [*text.split(), ""])
        numbers = max(map(cell_len, texts[1:]))
        named = max(cell_len(word) for word in [*texts[0].split(), ""])
        least.append(max(numbers, named) if is_number else min(words, _LONGEST_WORD))

    # Two blanks stand between two columns. The last ones go when words alone are too long.
    count = len(columns)
    while count > 1 and sum(least[:count]) + _GAP * (count - 1) > width:
        count -= 1
    widths, least = natural[:count], least[:count]

    # The widest column that can gives way, a character at a time.
    while sum(widths) + _GAP * (count - 1) > width:
        can = [n for n in range(count) if widths[n] > least[n]]
        if not can:
            break
        widths[max(can, key=lambda n: widths[n])] -= 1
    return [max(1, each) for each in widths]


def _broken(text: str, width: int) -> str:
    """Break a text into lines of a width: between words or their parts, else anywhere."""
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for part in _PARTS_OF_TEXT.findall(text):
        if cell_len(lines[-1]) + cell_len(part.rstrip()) <= width:
            lines[-1] += part
        else:
            lines += chop_cells(part, width) if cell_len(part.rstrip()) > width else [part]
    return "\n".join(line.rstrip() for line in lines if line.strip()) or text


def _fact_table(facts: Mapping[str, Any]) -> Table:
    """Draw keys and values, a line each; nested ones have dotted keys."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in _leaves(facts):
        name = ".".join(_column_name(part) for part in key.split("."))
        table.add_row(Text(plain(name)), Text(plain(cell(key.rsplit(".", 1)[-1], value))))
    return table


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested object with their dotted keys."""
    if not isinstance(value, Mapping) or not value:
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
