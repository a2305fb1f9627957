"""Chunks of all sources, made by Ray Data on every machine of a Ray cluster.

What follows them, choice and shards, stays on one machine.


A task reads one source and makes each n-th chunk of it that is missing, as a local worker would
(`workers.make_part`). Text comes from and chunks go to folders that all machines see under the same
path; only bookkeeping passes through Ray, so a machine that is lost costs the chunks it was making:
its tasks are run again elsewhere and skip what is there.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from destila.children import safe_path
from destila.cluster import connected, error_as_row, restored_error
from destila.corpus.chunks import ChunkOptions
from destila.corpus.workers import (
    TextSource,
    chunk_path,
    chunk_paths,
    is_done,
    make_part,
    mark_done,
)
from destila.errors import ConfigError, DataError, DestilaError, require

_RETRIES = 5  # of a task whose worker died: a lost machine is no fault of the text, five are
_TASKS_PER_SLOT = 2  # one that is slow does not keep all others waiting
# Bytes that Ray Data expects of a task's result; more would keep processors idle for want of
# memory.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Task:
    """Chunks `part`, `part + parts` and so on of a source."""

    source: int
    part: int
    parts: int


def make_chunks_with_ray(
    sources: Sequence[TextSource],
    tokenizer: Path,
    options: ChunkOptions,
    *,
    address: str,
    workers: int,
    versions: dict[str, str],
    progress: Callable[[str, int], None],
) -> list[Path]:
    """Make the same files as `workers.make_chunks`, to the byte, on a Ray cluster.

    Args:
        sources: files of text that all machines see.
        tokenizer: a folder that all machines see.
        options: how documents become chunks.
        address: `local` starts a cluster of this machine alone, `auto` takes the one that this
            machine belongs to, else `HOST:PORT` of its head.
        workers: tasks at once; 0 = one per processor of the cluster.
        versions: of the libraries that every machine must have.
        progress: called with a source's name and the number of its chunks.

    Raises:
        ConfigError: the cluster cannot be reached, or a machine has other versions.
        DataError: a source cannot be read, workers keep dying, or chunks are not where they
            should be.

    """
    sources = [
        replace(source, path=source.path.absolute(), folder=source.folder.absolute())
        for source in sources
    ]
    missing = [number for number, source in enumerate(sources) if not is_done(source)]
    if not missing:
        return chunk_paths(sources)

    counts: dict[int, int] = {}  # chunks of each source
    with safe_path(), connected(address, workers) as ray:
        slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        do = partial(
            _do,
            sources=sources,
            tokenizer=str(tokenizer.absolute()),
            options=options,
            versions=versions | {"destila": version("destila")},
        )
        for row in _results(_plan(sources, missing, _TASKS_PER_SLOT * slots), do, workers):
            if row["error"]:
                raise restored_error(row)
            source = sources[row["source"]]
            counts[row["source"]] = row["chunks"]
            progress(source.path.name, len(chunk_paths([source])))

    for number, chunks in counts.items():
        _close(sources[number], chunks)
    return chunk_paths(sources)


def _plan(sources: Sequence[TextSource], missing: Sequence[int], wanted: int) -> list[_Task]:
    """Cut the work into about `wanted` tasks of one size, at least one for each source.

    A source is read anew for each of its parts.
    """
    sizes = {number: sources[number].path.stat().st_size for number in missing}
    share = max(1, sum(sizes.values()) // wanted)

    tasks: list[_Task] = []
    for number, size in sizes.items():
        parts = -(-size // share)
        tasks += [_Task(number, part, parts) for part in range(parts)]
    return tasks


def _results(
    tasks: list[_Task], do: Callable[[dict[str, Any]], dict[str, Any]], workers: int
) -> Iterator[dict[str, Any]]:
    """Run every task on the cluster and yield its row as soon as it is done."""
    data, failures = require("ray.data", "ray"), require("ray.exceptions", "ray")
    context = data.DataContext.get_current()
    context.enable_progress_bars, context.target_max_block_size = False, _BLOCK
    # What fails is raised here, once; Ray need not log it too.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)

    # Without the deprecated argument retries never end; it goes with Ray 2.64, which
    # pyproject.toml excludes.
    items = [{"source": task.source, "part": task.part, "parts": task.parts} for task in tasks]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".ray_remote_args_fn. is deprecated")
        done = data.from_items(items, override_num_blocks=len(items)).map(
            do,
            num_cpus=1,
            concurrency=workers or None,
            ray_remote_args_fn=lambda: {"max_retries": _RETRIES},
        )

    try:
        yield from done.iter_rows()
    except (
        failures.WorkerCrashedError,
        failures.NodeDiedError,
        failures.OutOfMemoryError,
    ) as error:
        raise DataError(
            f"workers were ended from outside {_RETRIES + 1} times at one task, perhaps for want "
            "of memory: start again with fewer workers or smaller chunks; finished chunks are kept"
        ) from error


def _do(
    row: dict[str, Any],
    *,
    sources: Sequence[TextSource],
    tokenizer: str,
    options: ChunkOptions,
    versions: dict[str, str],
) -> dict[str, Any]:
    """Do a task in its worker. An error goes back as plain values: Ray would lose its class."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many workers as processors
    answer = {"source": row["source"], "chunks": 0, **error_as_row(None)}
    try:
        _check_versions(versions)
        source = sources[row["source"]]
        answer["chunks"] = make_part(source, tokenizer, options, row["part"], row["parts"])
    except (DestilaError, OSError) as error:
        answer |= error_as_row(error)
    return answer


def _check_versions(wanted: dict[str, str]) -> None:
    """Raise ConfigError when this machine has other versions of the libraries."""
    own = {name: version(name) for name in wanted}
    if own != wanted:
        raise ConfigError(
            f"{socket.gethostname()} has {_listed(own)}, but the corpus is made with "
            f"{_listed(wanted)}: install the same versions on every machine"
        )


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _close(source: TextSource, chunks: int) -> None:
    """Mark a source as done once all of its chunks can be seen from here."""
    paths = [chunk_path(source, number) for number in range(chunks)]
    unseen = [path for path in paths if not path.is_file()]
    if unseen:
        raise DataError(
            f"{unseen[0]} was made but is not there ({len(unseen)} of {chunks} chunks): is `out` "
            "a folder that all machines share, under the same path?"
        )
    if chunks:
        mark_done(source)
