"""A search on the machines of a Ray cluster: each takes part as a worker here would.

Nothing but the end of the work passes through Ray: trials are shared by their store, trainings lie
in the study's folder, which all machines see under one path. A worker that dies is started again
and finds its trial queued.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from destila.cluster import connected
from destila.errors import DestilaError, TrainingError

_RETRIES = 5
"""Of a worker that died: a lost machine is no fault of the trials, five are."""


def join_on_cluster(
    join: Callable[[str, Sequence[str], str], None],
    path: str,
    changes: Sequence[str],
    url: str,
    *,
    address: str,
    workers: int,
) -> None:
    """Let workers of a cluster run the trials of a search until none is left.

    Args:
        join: takes part in the search of a recipe, its changes and its store.
        path: of the recipe, which all machines see.
        changes: overrides, `key=value`.
        url: of the store, which all machines reach.
        address: as `connected` takes it.
        workers: how many take part; 0 = one per processor of the cluster.

    Raises:
        ConfigError: the cluster cannot be reached.
        TrainingError: a worker could not take part.
    """
    with connected(address, workers) as ray:
        slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_take_part)
        place = str(Path.cwd())
        answers = [task.remote(join, place, path, list(changes), url) for _ in range(slots)]
        problems = [text for text in ray.get(answers) if text]
    if problems:
        raise TrainingError(f"{len(problems)} of {slots} workers of {address}: {problems[0]}")


def _take_part(
    join: Callable[[str, Sequence[str], str], None],
    place: str,
    path: str,
    changes: Sequence[str],
    url: str,
) -> str:
    """Take part in a search; return what went wrong in words, "" for nothing."""
    try:
        os.chdir(place)
        join(path, changes, url)
    except (DestilaError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
