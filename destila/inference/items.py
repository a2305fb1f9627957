"""What a user asks about: one text in its place among others, or why it could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BROKEN = "\ufffd"
_OF_LABELS = ("label", "label_separator")
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
    if _is_whole(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Replace lone halves of surrogate pairs in the strings of a row, and in its lists of them."""
    return {key: _whole(value) for key, value in row.items()}


def is_broken(row: Mapping[str, Any]) -> bool:
    """Return whether some string of a row holds the mark of a broken character."""
    return any(BROKEN in _characters(value) for value in row.values())


def _whole(value: Any) -> Any:
    # A list costs one look at all its strings, not one at each.
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list) and not _is_whole(_characters(value)):
        return [whole_text(each) if isinstance(each, str) else each for each in value]
    return value


def _is_whole(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _characters(value: Any) -> str:
    """Return all the characters of a string or of a list's strings; none of anything else."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    # A blank between them, lest two halves of a pair meet.
    return " ".join([each for each in value if isinstance(each, str)])


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
    read = {key: name for key, name in names.items() if key not in _OF_LABELS}
    return {key: name for key, name in read.items() if isinstance(name, str)}
