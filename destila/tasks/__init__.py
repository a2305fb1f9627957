"""Task families, one class and one file each: what a unit is, what is read and what is scored.

`classify.py`, `tag.py` and `span/` each define `TASK`. A name in a data set's header is the file's
name, or the path of a `.py` file that defines one. No torch is imported until a loss is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from destila import plugins
from destila.errors import ModelError
from destila.model_folder import FolderInfo
from destila.reading.escaping import short_value
from destila.types import Task

SHARED = ("case", "classes", "ece", "label_metrics", "metrics", "units", "user_rows")
"""Modules of this room that are no tasks."""


def task_of(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """Find a task and set it up.

    Args:
        name: the name of a shipped task, or the path of a file that defines `TASK`.
        settings: a recipe's top-level values or what a model folder's destila.json says; a task
            reads its own keys. None: the task as it comes.

    Raises:
        ConfigError: there is no such task, or a setting of it is wrong.
    """
    task: Task = plugins.find("tasks", name, "TASK").TASK
    return task.with_settings(settings or {})


def task_of_folder(info: FolderInfo) -> Task:
    """Find the task of a model folder that has a head, with the settings it was trained with.

    Raises:
        ModelError: its task is a file of code that the user has not named; a folder may come from
            anywhere.
    """
    name = str(info.extra.get("task") or info.task)
    if plugins.is_path(name) and not plugins.is_named(Path(name)):
        raise ModelError(
            f"{info.path} is a model of the task in {name}, and no model folder has code run: "
            f"where you trust that file, set {plugins.NAMED}={name}"
        )
    if not plugins.is_path(name) and name not in plugins.names("tasks"):
        known = plugins.nearest(name, plugins.names("tasks"))
        raise ModelError(f"{info.path} names no task of this version: {short_value(name)}.{known}")
    return task_of(name, info.extra)


def check_shipped(info: FolderInfo) -> None:
    """Raise ModelError when a folder's task is in a file of the user's own."""
    name = str(info.extra.get("task") or info.task)
    if plugins.is_path(name):
        raise ModelError(
            f"{info.path} is a model of the task in {name}: an exported folder has to run where"
            f" that file is not, so only models of {', '.join(plugins.names('tasks'))} are exported"
        )
