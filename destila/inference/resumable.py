"""A long file of lines, written so that a killed run goes on after its last complete line.

While it grows it lies beside its place as `.NAME.part`, and `.NAME.part.json` says of what it is
made; when either has changed, writing starts anew. Only a complete file is given its name.
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

    Args:
        path: where it will be.
        key: names everything that its lines depend on; None: nothing is kept from an earlier run.

    Attributes:
        done: complete lines of an earlier run with the same key.
    """

    def __init__(self, path: Path | str, key: str | None) -> None:
        self.path, self.key = Path(path), key
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._marker = self.path.with_name(f".{self.path.name}.part.json")
        self.done, self._end = 0, 0  # lines, and the byte behind the last of them
        if key is not None and _key(self._marker) == key and self._part.is_file():
            self.done, self._end = _complete_lines(self._part)

    def write(self, lines: Iterable[str]) -> int:
        """Write lines behind those of an earlier run, and give the file its name.

        Args:
            lines: without line ends. When they fail half-way, what was written stays for the next
                run.

        Returns:
            The number of lines, earlier ones included.
        """
        self._prepare()
        with self._part.open("a", encoding="utf-8", newline="") as file:
            count = self.done
            for line in lines:
                file.write(line + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())

        # Only now is it complete.
        self._part.replace(self.path)
        self._marker.unlink(missing_ok=True)
        return count

    def _prepare(self) -> None:
        """Cut the file off behind its complete lines; without any, start anew."""
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
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content.get("key") if isinstance(content, dict) else None


def _complete_lines(part: Path) -> tuple[int, int]:
    """Return the number of complete lines of a file, and the byte behind the last of them."""
    lines = end = position = 0
    with part.open("rb") as file:
        while block := file.read(_BLOCK):
            if breaks := block.count(b"\n"):
                lines += breaks
                end = position + block.rindex(b"\n") + 1
            position += len(block)
    return lines, end
