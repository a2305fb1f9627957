"""The file log.jsonl of a run that may be killed and go on, so that every step is logged once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from destila.files import read_log, write_text


class RunLog:
    """The lines of a run's log, on disk and at hand.

    A run that goes on repeats the steps behind its last checkpoint. Their lines are dropped when
    the first of them is written again.
    """

    def __init__(self, path: Path, counter: str) -> None:
        """Read what the file holds.

        Args:
            path: the file, one JSON object a line; it may be missing.
            counter: the key that grows from line to line, such as "step".
        """
        self.path, self.counter = path, counter
        self.lines: list[dict[str, Any]] = read_log(path)
        self._pruned = False

    def append(self, count: float, lines: Iterable[Mapping[str, Any]]) -> None:
        """Append the lines of the step at which the counter stands at `count`, if any."""
        if not self._pruned:
            self.lines = [line for line in self.lines if line[self.counter] < count]
            write_text(self.path, "".join(map(_dump, self.lines)))
            self._pruned = True
        new = [dict(line) for line in lines]
        self.lines += new
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(map(_dump, new))


def _dump(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
