"""Where a file of answers goes: nothing else is overwritten, and what goes wrong is said there.

Which command wrote a file is remembered in the cache, so that the same command may write it again
and no other does so unasked.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from destila import hub
from destila.config import fingerprint
from destila.errors import ConfigError
from destila.files import write_text
from destila.inference.resumable import identity
from destila.reading.values import parse_json


class AnswerPlace:
    """The place of a file of answers.

    Args:
        out: its path.
        command: what is asked of which model, to know the same command again.
    """

    def __init__(self, out: str, command: list[Any]) -> None:
        self.path = Path(out)
        self.command = fingerprint(command)
        name = fingerprint(str(self.path.absolute()))
        self._memory = hub.cache_root() / "answers" / f"{name}.json"

    def check(self, file: str | None, *, overwrite: bool) -> None:
        """Refuse a place that cannot be written, or that holds something else.

        Args:
            file: the texts, which are never overwritten; None: they are in no file.
            overwrite: what is there may go.

        Raises:
            ConfigError: the place is a folder, the texts themselves, or a file of another command.
        """
        out = self.path
        if out.is_dir():
            raise ConfigError(f"--out {out} is a folder: name a file in it, {out}/answers.jsonl")
        if not out.exists():
            return

        if file is not None and Path(file).exists() and out.samefile(file):
            raise ConfigError(f"--out {out} is the file of texts itself: give another name")
        if not overwrite and not self._is_own():
            raise ConfigError(
                f"--out {out} exists and was not written by this command: give another name, or "
                "--overwrite"
            )

    def remember(self) -> None:
        """Note that this command wrote the file; without a cache that can be written, do not."""
        try:
            write_text(self._memory, json.dumps([self.command, identity(self.path)]) + "\n")
        except OSError:
            return  # the next run will ask for --overwrite

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what goes wrong while the file is written into an error with place and remedy."""
        try:
            yield
        except OSError as error:
            raise ConfigError(self._explain(error)) from error

    def _is_own(self) -> bool:
        """Return whether the file is as this command left it."""
        try:
            content = parse_json(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(content == [self.command, identity(self.path)])

    def _explain(self, error: OSError) -> str:
        """Say what to do about a file that cannot be written."""
        out, folder = self.path, self.path.parent
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"--out {out}: no space is left on its disk; make room, and the same command goes "
                "on where it was"
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"--out {out}: {folder} may not be written: give a place in a folder of yours"
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return f"--out {out}: {folder} is a file and no folder: give another place"
        return f"--out {out} cannot be written ({error.strerror or error}): give another place"
