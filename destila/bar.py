"""Progress for people: one bar per stage, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """What draws (what, done, total) as a bar; total 0: not known. Draws nothing when quiet or without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("")
        yield lambda what, done, total: drawn.update(task, description=what, completed=done, total=total or None)
