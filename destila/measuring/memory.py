"""Resident memory, read from the Linux kernel; None everywhere else.

Anonymous pages are what a program allocated; file-backed pages are mapped files (weights, a teacher
cache) that the kernel can drop at any time, and are counted apart.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from destila.children import python
from destila.errors import ConfigError
from destila.measuring.sample_texts import text_file
from destila.types import Example

# A process inherits the peak of the one that starts it, so a small one stands between (10 MB).
_BETWEEN = """
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(int(sys.argv[1]), str(usage.ru_maxrss).encode())
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes resident now: allocated (`anonymous`) and mapped from files (`file_backed`)."""

    anonymous: int
    file_backed: int


def peak_bytes() -> int | None:
    """Return the most bytes that were ever resident in this process, file-backed ones included."""
    return _kilobytes("/proc/self/status", "VmHWM")


def resident() -> Resident | None:
    """Return the bytes resident in this process now, split into anonymous and file-backed."""
    total = _kilobytes("/proc/self/smaps_rollup", "Rss")
    anonymous = _kilobytes("/proc/self/smaps_rollup", "Anonymous")
    if total is None or anonymous is None:
        return None
    return Resident(anonymous, total - anonymous)


def peak_of_labelling(folder: Path, examples: Sequence[Example]) -> int | None:
    """Return the peak resident bytes of a new process that labels texts with a model folder.

    Raises:
        ConfigError: that process fails.
    """
    with text_file(examples) as path:
        return peak_of(python("-m", "destila", "predict", str(folder), str(path)))


def peak_of(command: Sequence[str]) -> int | None:
    """Return the most bytes resident in a command run to its end; at least about 10 MB.

    Raises:
        ConfigError: the command fails; the message has the end of what it wrote.
    """
    if not sys.platform.startswith("linux"):
        return None

    # The process between writes the peak of its child into a pipe.
    reader, writer = os.pipe()
    between = python("-S", "-E", "-c", _BETWEEN, str(writer), *command)
    try:
        done = subprocess.run(
            between, pass_fds=(writer,), capture_output=True, text=True, errors="replace"
        )
    finally:
        os.close(writer)
        kilobytes = os.read(reader, 64)
        os.close(reader)

    # The end of what it wrote says why it failed.
    if done.returncode != 0 or not kilobytes:
        tail = " ".join((done.stderr or done.stdout).split())[-300:]
        raise ConfigError(
            f"the measured command '{command[0]}' ended with status {done.returncode}: {tail}"
        )
    return int(kilobytes) * 1024


def _kilobytes(path: str, name: str) -> int | None:
    """Return a field of a /proc file in bytes; None where there is no such file or field."""
    file = Path(path)
    text = file.read_text() if file.is_file() else ""
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None
