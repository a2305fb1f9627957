"""A long file of rows, written so that a killed run goes on after its last complete row.

While it grows it lies beside its place as `.NAME.part`, and `.NAME.part.json` says of what it is
made; when either has changed, writing starts anew. Only a complete file is given its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from destila.files import write_text
from destila.reading.values import parse_json


class Resumable:
    """A file of rows that is being written.

    Args:
        path: where it will be.
        key: names everything that its rows depend on; None: nothing is kept from an earlier run.
        quoted: a row may hold line ends between quotes, as those of CSV may.

    Attributes:
        done: complete rows of an earlier run with the same key.
    """

    def __init__(self, path: Path | str, key: str | None, *, quoted: bool = False) -> None:
        self.path, self.key = Path(path), key
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._marker = self.path.with_name(f".{self.path.name}.part.json")
        self.done, self._end = 0, 0  # rows, and the byte behind the last of them
        if key is not None and _key(self._marker) == key and self._part.is_file():
            self.done, self._end = _complete_rows(self._part, quoted)

    def write(self, rows: Iterable[str]) -> int:
        """Write rows behind those of an earlier run, and give the file its name.

        Args:
            rows: without line ends. When they fail half-way, what was written stays for the next
                run.

        Returns:
            The number of rows, earlier ones included.
        """
        self._prepare()
        with self._part.open("a", encoding="utf-8", newline="") as file:
            count = self.done
            for row in rows:
                file.write(row + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())

        # Only now is it complete.
        self._part.replace(self.path)
        self._marker.unlink(missing_ok=True)
        return count

    def _prepare(self) -> None:
        """Cut the file off behind its complete rows; without any, start anew."""
        if self.done:
            os.truncate(self._part, self._end)
            return

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part.unlink(missing_ok=True)
        self._marker.unlink(missing_ok=True)
        if self.key is not None:
            write_text(self._marker, json.dumps({"key": self.key}) + "\n")


def identity(path: Path | str) -> list[str | int]:
    """Return what tells one state of a file from another unread: place, size and time."""
    facts = Path(path).stat()
    return [str(Path(path).resolve()), facts.st_size, facts.st_mtime_ns]


def _key(marker: Path) -> str | None:
    """Return the key in a marker; None where there is none, or it is damaged."""
    try:
        content = parse_json(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content.get("key") if isinstance(content, dict) else None


def _complete_rows(part: Path, quoted: bool) -> tuple[int, int]:
    """Return the number of complete rows of a file, and the byte behind the last of them."""
    rows = end = position = 0
    inside = False  # quotes
    with part.open("rb") as file:
        for line in file:
            position += len(line)
            if quoted and line.count(b'"') % 2:
                inside = not inside
            if line.endswith(b"\n") and not inside:
                rows, end = rows + 1, position
    return rows, end
