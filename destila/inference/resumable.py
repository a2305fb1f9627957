"""A long file of lines, written so that a killed run goes on after its last complete line.

While it grows it lies beside its place as `.NAME.part`, and `.NAME.part.json` says of what it is made; when either has
changed, writing starts anew. Only a complete file is given its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from destila.files import write_text

_BLOCK = 1 << 20


class Resumable:
    """A file of lines that is being written.

    path: where it will be. key: names everything that its lines depend on; None: nothing is kept from an earlier run.
    done: complete lines of an earlier run with the same key.
    """

    def __init__(self, path: Path | str, key: str | None) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._marker = self.path.with_name(f".{self.path.name}.part.json")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if key is None or _key(self._marker) != key:
            self._part.unlink(missing_ok=True)
            self._marker.unlink(missing_ok=True)
            if key is not None:
                write_text(self._marker, json.dumps({"key": key}) + "\n")
        self.done = _trimmed(self._part) if self._part.is_file() else 0

    def write(self, lines: Iterable[str]) -> int:
        """The number of lines, earlier ones included, after writing these behind them and giving the file its name.

        lines: without line ends. When they fail half-way, what was written stays for the next run.
        """
        with self._part.open("a", encoding="utf-8", newline="") as file:
            count = self.done
            for line in lines:
                file.write(line + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self.path)
        self._marker.unlink(missing_ok=True)
        return count


def identity(path: Path | str) -> list[str | int]:
    """What tells one state of a file from another without reading it whole: place, size and time."""
    facts = Path(path).stat()
    return [str(Path(path).resolve()), facts.st_size, facts.st_mtime_ns]


def _key(marker: Path) -> str | None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return found.get("key") if isinstance(found, dict) else None


def _trimmed(part: Path) -> int:
    """The number of complete lines of a file, after cutting off what follows the last."""
    lines = end = position = 0
    with part.open("r+b") as file:
        while block := file.read(_BLOCK):
            found = block.count(b"\n")
            lines += found
            end = position + block.rindex(b"\n") + 1 if found else end
            position += len(block)
        file.truncate(end)
    return lines
