"""What a user asks about: one text in its place among others, or why it could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BROKEN = "\ufffd"
"""What stands where a character was broken: half a pair of UTF-16, a byte that is no UTF-8."""


@dataclass(frozen=True, slots=True)
class UserText:
    """One thing to label.

    place: what messages call it, such as "new.csv, line 3".
    row: what a task reads of it; {} where it could not be read.
    fault: why it could not be read, "" when it could.
    cells: of a table's row, to be written beside the answer.
    """

    place: str
    row: Mapping[str, Any]
    fault: str = ""
    cells: Mapping[str, Any] | None = None


def items_of(values: Iterable[Any], *, first: int = 0) -> Iterator[UserText]:
    """Make items of what a program gives: strings, or objects with `text` or the like.

    Args:
        values: anything; what is no text becomes an item with a fault.
        first: number of the first value, from 0; messages count from 1.
    """
    for number, value in enumerate(values, first + 1):
        yield make_item(value, f"text {number}")


def make_item(value: Any, place: str) -> UserText:
    """Make an item of a string or an object; of anything else, one with a fault."""
    if isinstance(value, str):
        return UserText(place, {"text": value})
    if isinstance(value, Mapping):
        return UserText(place, value)
    kind = "null" if value is None else type(value).__name__
    return UserText(place, {}, f"{kind} instead of a text or an object with one")


def whole_text(text: str) -> str:
    """Replace lone halves of surrogate pairs, which no UTF-8 can hold, by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Replace lone halves of surrogate pairs in the strings of a row, and in its lists of them."""
    return {key: _whole(value) for key, value in row.items()}


def is_broken(row: Mapping[str, Any]) -> bool:
    """Return whether some string of a row holds the mark of a broken character."""
    values = [each for value in row.values() for each in _strings(value)]
    return any(BROKEN in value for value in values)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [whole_text(each) if isinstance(each, str) else each for each in value]
    return value


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def rename_columns(row: Mapping[str, Any], columns: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a row with the keys that a task reads, where it has those of the training data.

    Args:
        row: of a user.
        columns: key of a task -> name of a column.
    """
    present = {key: row[name] for key, name in columns.items() if name in row}
    return {**row, **present} if present else row


def columns_of(extra: Mapping[str, Any]) -> dict[str, str]:
    """Return what the texts of a model's training data were called, by its destila.json."""
    names = extra.get("columns")
    if not isinstance(names, Mapping):
        return {}
    return {key: name for key, name in names.items() if key != "label" and isinstance(name, str)}
