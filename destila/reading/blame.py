"""A guard around a library that reads a stranger's file: what it raises is one error of ours."""

from __future__ import annotations

from types import TracebackType

from destila.errors import DestilaError

_PANIC = "PanicException"
"""A panic of Rust: no Exception, and of a class that no module exports."""


class Blaming:
    """A block whose errors become one error of ours: `with Blaming(ModelError, "x cannot ..."):`.

    Errors of ours, a full disk's and a user's interrupt go through as they are.

    Args:
        kind: of the error.
        message: what went wrong, and with what; the library's first line follows.
        remedy: the end of the message.
    """

    def __init__(self, kind: type[DestilaError], message: str, *, remedy: str = "") -> None:
        self.kind, self.message, self.remedy = kind, message, remedy

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the block; raise the error of ours for one of the library's."""
        if kind is None or issubclass(kind, DestilaError):
            return
        if issubclass(kind, Exception) or kind.__name__ == _PANIC:
            lines = str(error).strip().splitlines()
            reason = lines[0][:200] if lines else kind.__name__
            remedy = f": {self.remedy}" if self.remedy else ""
            raise self.kind(f"{self.message} ({reason}){remedy}") from error
