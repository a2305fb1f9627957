"""Extractive question answering: where in a context the answer stands."""

from destila.tasks.span.task import TASK

__all__ = ["TASK"]
