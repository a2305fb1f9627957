"""Ctrl-C and SIGTERM: whatever a command was doing, it ends in one place, with one line.

Both signals raise `Stopped` in the main thread, so that blocks which clean up (files half written,
workers, locks) do so, as after any error. It is no `Exception`: nothing takes it for a failure that
can be gone on from.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from destila.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal ended the process; `code` is its exit code: 130 after Ctrl-C, 143 after SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped")
        self.code = 128 + number


class RememberedProgress:
    """Progress that remembers the last thing it was told, to say where a command was stopped."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: tuple[str, int, int] | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Remember how much is done of a stage, and pass it on."""
        self._last = (what, done, total)
        self._progress(what, done, total)

    def place(self) -> str:
        """Return where the work is, in words: ` at tiny-s0: epoch 1/2, step 7 of 20`; "" before."""
        if self._last is None:
            return ""

        what, done, total = self._last
        of = f" of {total:,}" if total else ""
        return f" at {what}" + (f", step {done:,}{of}" if done else "")


@contextmanager
def catching_signals() -> Iterator[None]:
    """Raise `Stopped` for the signals of `SIGNALS` while the block runs; the main thread only."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        # A second one finds the handlers of before: it need not wait for what is cleaned up.
        restore()
        received.append(number)
        raise Stopped(number)

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield
    finally:
        restore()
        # A native library that was being imported makes an error of its own of whatever it meets.
        error = sys.exception()
        if received and isinstance(error, Exception):
            raise Stopped(received[0]) from error


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
