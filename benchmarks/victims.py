"""Commands as forked processes that start at once, and can be stopped after so much work.

A command of destila imports for seconds what the process that forks it has imported already; and a
busy machine makes a clock useless for saying how far a command has come. So a victim is forked from
a process that is warm, and stopped when it has used a share of the processor's time that it needs.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")
_WARM = ("destila", "torch", "numpy", "onnx", "sklearn", "scipy", "tokenizers")
"""Libraries that are imported before; onnxruntime has threads, which no fork survives."""

_LEAVE = 10.0
"""Seconds that children of a stopped process have to end."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), seconds of processor, output."""

    code: int
    seconds: float
    out: str
    err: str


class Victim:
    """A command under way.

    Args:
        words: of the command, without `destila`.
        folder: that it works in; its cache is `cache` there, its output in `.out` and `.err`.
    """

    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self.folder = folder
        sys.stdout.flush()
        sys.stderr.flush()
        self._told, telling = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._told)
            sys.exit(_be_a_command(words, folder, telling))
        os.close(telling)

    def stop_after(self, seconds: float, number: int) -> bool:
        """Send a signal when so much processor time is used; False: it had ended before."""
        while self._used() < seconds:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return False
            time.sleep(0.004)
        os.kill(self.pid, number)
        return True

    def stop_at_progress(self, number: int) -> bool:
        """Send a signal when the command first says where it is; False: it has ended without."""
        if not os.read(self._told, 1):
            return False
        os.kill(self.pid, number)
        return True

    def wait(self) -> Ended:
        """Wait until the command has ended."""
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._told)  # only now: a closed pipe would fail the command
        texts = [
            (self.folder / name).read_text(encoding="utf-8", errors="replace")
            for name in (".out", ".err")
        ]
        seconds = usage.ru_utime + usage.ru_stime
        return Ended(os.waitstatus_to_exitcode(status), seconds, *texts)

    def left(self) -> list[str]:
        """Return the command lines of its children that do not end by themselves."""
        end = time.monotonic() + _LEAVE
        while alive := list(_group(self.pid)):
            if time.monotonic() > end:
                for pid in alive:
                    os.kill(pid, signal.SIGKILL)
                return [f"process {pid}" for pid in alive]
            time.sleep(0.02)
        return []

    def _used(self) -> float:
        """Return the seconds of processor that the command and its children have used."""
        return sum(map(_seconds_of, _group(self.pid)))


def warm(folder: Path) -> None:
    """Import here what a command that ended in this folder had imported."""
    for name in (folder / ".modules").read_text(encoding="utf-8").split():
        if name.split(".")[0] in _WARM:
            importlib.import_module(name)


def _be_a_command(words: tuple[str, ...], folder: Path, telling: int) -> int:
    """Become a command of destila, in the forked process; return its exit code.

    Its first progress is a byte in the pipe `telling`, which then lasts long enough to be stopped.
    """
    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ |= {"DESTILA_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    for number, name in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)

    from destila import cli
    from destila.measuring import memory
    from destila.stopping import RememberedProgress

    # Measured in a process of its own, which imports for longer than all else here takes.
    memory.peak_of_labelling = lambda *_: None

    def tell(self: RememberedProgress, *place: Any) -> None:
        remember(self, *place)
        if open_pipe:
            os.write(open_pipe.pop(), b".")
            time.sleep(0.05)

    remember, open_pipe = RememberedProgress.__call__, [telling]
    RememberedProgress.__call__ = tell  # type: ignore[method-assign]
    sys.argv = ["destila", *words]
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    (folder / ".modules").write_text("\n".join(sys.modules), encoding="utf-8")
    return code if isinstance(code, int) else 0


def _group(leader: int) -> Iterator[int]:
    """Yield the processes of a group that have not ended."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            facts = _facts(int(entry.name))
            if facts and int(facts[2]) == leader and facts[0] not in "ZX":
                yield int(entry.name)


def _seconds_of(pid: int) -> float:
    """Return the seconds of processor of a process and of its children that have ended."""
    facts = _facts(pid)
    return sum(map(int, facts[11:15])) / _TICK if facts else 0.0


def _facts(pid: int) -> list[str]:
    """Return what /proc says of a process, behind its name: state, parent, group, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
