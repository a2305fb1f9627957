"""The items of a JSON list, cut out of its text one by one, so that none is held but the last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from destila.errors import DataError

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},]')
"""A string (whose brackets and commas count for nothing), a bracket or a comma."""


def json_items(lines: Iterable[str], where: str) -> Iterator[str]:
    """Yield the text of every item of the JSON list that some lines are.

    Only brackets are checked: whether an item is JSON says whoever parses it.

    Args:
        lines: of the file.
        where: its name, for messages.

    Raises:
        DataError: on reaching it, where the lines are no list, or go on after it, or end in it.
    """
    depth, count, ended = 0, 0, False
    parts: list[str] = []  # of an item that goes on in the next line
    for line in lines:
        if not depth:
            _check_outside(line, where, ended=ended)

        start = 0
        for match in _TOKEN.finditer(line):
            token = match[0]
            if token in ("[", "{"):
                depth += 1
                start = match.end() if depth == 1 else start
                continue
            depth -= token in ("]", "}")

            # An item ends at a comma of the outer list, and where that list ends.
            ended = depth == 0
            if not ended and (depth > 1 or token != ","):
                continue
            item = "".join((*parts, line[start : match.start()]))
            parts, start = [], match.end()
            if item.strip() or count or not ended:
                count += 1
                yield item
            if ended:
                _check_outside(line[start:] if token == "]" else token, where, ended=True)
                break

        if not ended:
            parts.append(line[start:] + "\n")

    if not ended:
        raise DataError(f"{where}: the list is not closed: the file is cut off, get it again")


def _check_outside(text: str, where: str, *, ended: bool) -> None:
    """Raise DataError for text before the list that does not begin it, or after its end."""
    text = text.strip()
    if ended and text:
        raise DataError(f"{where}: the list ends, and {text[:40]!r} follows: repair the file")
    if text and not text.startswith("["):
        raise DataError(
            f"{where}: the file must be a list of objects; one object per line is called .jsonl"
        )
