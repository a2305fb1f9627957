"""Texts of a user, one a line or one JSON object a line, as a model is asked about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from destila.errors import DataError


def read_texts(
    lines: Iterable[str], *, jsonl: bool, where: str, pairs: bool
) -> Iterator[str | dict[str, Any]]:
    """Texts of lines; blank lines are left out. pairs: a tab parts text and pair. Raises DataError with the line."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        if not jsonl and not pairs:
            yield text
            continue
        if not jsonl:
            head, tab, tail = text.partition("\t")
            yield {"text": head, "pair": tail} if tab else text
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}, line {number}: not a JSON object ({error.msg} at column {error.colno})"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: not a JSON object but {type(row).__name__}")
        yield row


def is_jsonl(path: str) -> bool:
    """Whether a file of texts holds JSON objects, by its name: `x.jsonl`, `x.json`, also packed."""
    return any(suffix in (".jsonl", ".json") for suffix in Path(path).suffixes)


def is_object(line: str) -> bool:
    """Whether a line is a JSON object with something to label; such a line is no text of a person."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and bool({"text", "words", "question"} & row.keys())
