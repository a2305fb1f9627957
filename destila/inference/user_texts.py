"""Texts of a user, one a line or one JSON object a line, as a model is asked about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from destila.errors import DataError
from destila.files import open_text

_TEXT_KEYS = ("text", "pair", "question", "context")
"""Keys of a JSON row that hold a text."""


def read_texts(
    lines: Iterable[str], *, jsonl: bool, where: str, pairs: bool
) -> Iterator[str | dict[str, Any]]:
    """Yield the texts of lines; blank lines are left out.

    Args:
        lines: with or without line ends.
        jsonl: each line is a JSON object.
        where: name of the file, for messages.
        pairs: a tab parts text and pair.

    Raises:
        DataError: a line is no JSON object; the message has its number.
    """
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue

        if jsonl:
            yield _json_row(text, f"{where}, line {number}")
            continue

        # A tab is part of the text where the task reads single texts.
        head, tab, tail = text.partition("\t")
        yield {"text": head, "pair": tail} if pairs and tab else text


def strings_of(files: Iterable[str]) -> Iterator[str]:
    """Yield every text of some files: lines, both sides of a tab, the strings of JSON rows."""
    for file in files:
        for row in read_texts(open_text(file), jsonl=is_jsonl(file), where=file, pairs=True):
            if isinstance(row, str):
                yield row
                continue

            texts = [row[key] for key in _TEXT_KEYS if key in row]
            if words := row.get("words"):
                texts.append(" ".join(map(str, words)))
            yield from (text for text in texts if isinstance(text, str))


def is_jsonl(path: str) -> bool:
    """Return whether a file holds JSON objects, by its name: `x.jsonl`, `x.json`, also packed."""
    return any(suffix in (".jsonl", ".json") for suffix in Path(path).suffixes)


def is_object(line: str) -> bool:
    """Return whether a line is a JSON object with something to label, which no person's text is."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and bool({"text", "words", "question"} & row.keys())


def _json_row(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object of a line; raise DataError when it is none."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not a JSON object ({error.msg} at column {error.colno})"
        ) from error

    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object but {type(row).__name__}")
    return row
