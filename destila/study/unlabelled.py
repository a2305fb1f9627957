"""Lines of a raw text file for a teacher to label."""

from __future__ import annotations

import random
from collections.abc import Container

from destila.errors import DataError
from destila.files import find_data, open_text


def sample(
    name: str, limit: int, words: tuple[int, int] | None, known: Container[str]
) -> list[str]:
    """At most `limit` lines of a file, drawn with a fixed seed from those that are new.

    name: a path, or one under DESTILA_DATA. words: fewest and most words (between blanks) of a line; None: any.
    known: texts of the data set, which are left out. Raises DataError when no line is left.
    """
    path = find_data(name, remedy="check distil.unlabelled")
    kept: list[str] = []
    draw = random.Random(0)
    seen = 0
    for raw in open_text(path):
        line = raw.strip()
        if not line or line in known or not _fits(line, words):
            continue
        if seen < limit:
            kept.append(line)
        elif (slot := draw.randrange(seen + 1)) < len(kept):
            kept[slot] = line
        seen += 1
    if not kept:
        which = f" of {words[0]} to {words[1]} words" if words else ""
        raise DataError(
            f"{path} has no line{which} that the data set does not hold: give another file or other limits"
        )
    return kept


def _fits(line: str, words: tuple[int, int] | None) -> bool:
    return words is None or words[0] <= len(line.split()) <= words[1]
