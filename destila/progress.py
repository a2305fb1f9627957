"""Progress: what long work calls, and the one bar per stage that is drawn of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from destila.reading.escaping import plain

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total); total 0: not known."""


def silent(what: str, done: int, total: int) -> None:
    """Ignore progress, where nobody looks at it."""


@contextmanager
def bar(quiet: bool) -> Iterator[Progress]:
    """Yield what draws (what, done, total) as a bar; total 0: not known.

    It draws nothing when `quiet`, or without a terminal or a notebook.
    """
    notebook = "ipykernel" in sys.modules
    if quiet or not (notebook or sys.stderr.isatty()):
        yield silent
        return

    # Imported here, because only a terminal needs it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Drawing

    columns = (
        TextColumn("{task.description}", markup=False),  # names may hold [red]
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Drawing(*columns, console=Console(stderr=not notebook), transient=True) as drawn:
        task = drawn.add_task("")  # one bar, which every stage takes over
        yield lambda what, done, total: drawn.update(
            task, description=plain(what), completed=done, total=total or None
        )
