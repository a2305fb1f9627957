"""What went wrong in a study that goes on: noted, shown at its end, and told by its exit code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from destila.errors import DestilaError, MissingExtraError

log = logging.getLogger(__name__)


@dataclass
class Attempt:
    """Whether one part of the work failed; known when its block has ended."""

    failed: bool = False


class Failures:
    """The errors of a study that went on without the models that they cost."""

    def __init__(self) -> None:
        self._errors: dict[str, DestilaError] = {}

    @property
    def lines(self) -> list[str]:
        """One line for each model that could not be made, with the reason."""
        return [f"{name}: {error}" for name, error in self._errors.items()]

    @property
    def first(self) -> DestilaError:
        """The first error, from which the others may have come."""
        return next(iter(self._errors.values()))

    @contextmanager
    def noted(self, name: str, only: type[DestilaError] = DestilaError) -> Iterator[Attempt]:
        """Note an error of the block under a name, and go on behind it.

        A package that is not installed is missing for all of the study: that error ends it.

        Args:
            name: of what the block makes.
            only: errors that are noted; any other, a mistake in a recipe perhaps, ends the study.
        """
        attempt = Attempt()
        try:
            yield attempt
        except MissingExtraError:
            raise
        except only as error:
            log.error("%s failed, the study goes on: %s", name, error)
            self._errors[name] = error
            attempt.failed = True
