"""Child processes: none of them imports from the folder that the user works in.

Python puts that folder first on the path of `python -m`, `python -c` and spawned workers, so that a
`random.py` beside the user's data would be run in place of the library's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
