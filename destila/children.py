"""Child processes: none of them imports from the folder that the user works in.

Python puts that folder first on the path of `python -m`, `python -c` and spawned workers, so that a
`random.py` beside the user's data would be run in place of the library's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process

from destila.stopping import ignore_interrupts

_VARIABLE = "PYTHONSAFEPATH"


def python(*arguments: str) -> list[str]:
    """Return a command that runs this Python, without the working folder on its path."""
    return [sys.executable, "-P", *arguments]


@contextmanager
def safe_path() -> Iterator[None]:
    """Keep the working folder off the path of every Python that the block starts."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def begin_worker() -> None:
    """Set up a process of a pool: one of as many as there are cores, without threads of tokenizers.

    It ends with the process that started it, whatever ends that one.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    ignore_interrupts()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it ends."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
