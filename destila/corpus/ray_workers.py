"""Pieces of all sources, made by Ray Data on every machine of a Ray cluster; what follows them stays on one machine.

A task reads one source and makes each n-th piece of it that is missing, as a local worker would (`piecework.make_part`).
Text comes from and pieces go to folders that all machines see under the same path; only bookkeeping passes through Ray,
so a machine that is lost costs the pieces it was making: its tasks are run again elsewhere and skip what is there.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from destila import cpu
from destila.corpus import workers as piecework
from destila.corpus.chunks import ChunkOptions
from destila.corpus.workers import Source
from destila.errors import ConfigError, DataError, DestilaError, require

_RETRIES = 5  # of a task whose worker died: a lost machine is no fault of the text, five are
_PER_SLOT = 2  # tasks per processor: one that is slow does not keep all others waiting
_SECONDS = 5.0
_BLOCK = (
    1 << 20
)  # bytes that Ray Data expects of a task's result; more would keep processors idle for want of memory


@dataclass(frozen=True, slots=True)
class _Task:
    """Pieces `part`, `part + parts` and so on of a source."""

    source: int
    part: int
    parts: int


def make_all(
    sources: Sequence[Source],
    tokenizer: Path,
    making: ChunkOptions,
    *,
    address: str,
    workers: int,
    versions: dict[str, str],
    progress: Callable[[str, int], None],
) -> list[Path]:
    """As `piecework.make_all`, the same files with the same bytes.

    tokenizer: a folder that all machines see. address: `local` starts a cluster of this machine alone, `auto` takes the
    one that this machine belongs to, else `HOST:PORT` of its head. workers: tasks at once; 0 = one per processor of the
    cluster. versions: of the libraries that every machine must have. Raises what making a piece raises, ConfigError for
    a cluster that cannot be reached, DataError when workers keep dying or the pieces are not where they should be.
    """
    sources = [
        replace(source, path=source.path.absolute(), folder=source.folder.absolute())
        for source in sources
    ]
    missing = [number for number, source in enumerate(sources) if not piecework.is_done(source)]
    if missing:
        with _connected(address, workers) as ray:
            slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            tasks = _tasks(sources, missing, _PER_SLOT * slots)
            versions = versions | {"destila": version("destila")}
            do = partial(
                _do,
                sources=sources,
                tokenizer=str(tokenizer.absolute()),
                making=making,
                versions=versions,
            )
            counts = {}
            for row in _rows(tasks, do, workers):
                if row["error"]:
                    raise pickle.loads(row["error"])
                number = row["source"]
                counts[number] = row["pieces"]
                progress(
                    sources[number].path.name, len(piecework.paths(sources[number : number + 1]))
                )
        for number, pieces in counts.items():
            _close(sources[number], pieces)
    return piecework.paths(sources)


def _tasks(sources: Sequence[Source], missing: Sequence[int], wanted: int) -> list[_Task]:
    """At least one task per source, and parts of about the same size; a source is read anew for each of its parts."""
    sizes = {number: sources[number].path.stat().st_size for number in missing}
    share = max(1, sum(sizes.values()) // wanted)
    parts = {number: -(-size // share) for number, size in sizes.items()}
    return [
        _Task(number, part, parts[number]) for number in missing for part in range(parts[number])
    ]


def _rows(
    tasks: list[_Task], do: Callable[[dict[str, Any]], dict[str, Any]], workers: int
) -> Iterator[dict[str, Any]]:
    """What each task says, as soon as it is done."""
    data, failures = require("ray.data", "ray"), require("ray.exceptions", "ray")
    context = data.DataContext.get_current()
    context.enable_progress_bars, context.target_max_block_size = False, _BLOCK
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised, and said once
    items = [{"source": task.source, "part": task.part, "parts": task.parts} for task in tasks]
    # Without the deprecated argument retries never end; it goes with Ray 2.64, which pyproject.toml excludes.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".ray_remote_args_fn. is deprecated")
        done = data.from_items(items, override_num_blocks=len(items)).map(
            do, num_cpus=1, concurrency=workers or None, ray_remote_args_fn=_retried
        )
    try:
        yield from done.iter_rows()
    except (
        failures.WorkerCrashedError,
        failures.NodeDiedError,
        failures.OutOfMemoryError,
    ) as error:
        raise DataError(
            f"workers were ended from outside {_RETRIES + 1} times at one task, perhaps for want of memory: start again "
            "with fewer workers or smaller pieces; finished pieces are kept"
        ) from error


def _retried() -> dict[str, Any]:
    return {"max_retries": _RETRIES}


def _do(
    row: dict[str, Any],
    *,
    sources: Sequence[Source],
    tokenizer: str,
    making: ChunkOptions,
    versions: dict[str, str],
) -> dict[str, Any]:
    """A task in its worker. An error goes back as a value: Ray would make it text and its class would be lost."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as many workers as processors
    pieces, failed = 0, b""
    try:
        _check_versions(versions)
        pieces = piecework.make_part(
            sources[row["source"]], tokenizer, making, row["part"], row["parts"]
        )
    except (DestilaError, OSError) as error:
        failed = pickle.dumps(error)
    return {"source": row["source"], "pieces": pieces, "error": failed}


def _check_versions(wanted: dict[str, str]) -> None:
    own = {name: version(name) for name in wanted}
    if own != wanted:
        raise ConfigError(
            f"{socket.gethostname()} has {_listed(own)}, but the corpus is made with {_listed(wanted)}: install the "
            "same versions on every machine"
        )


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _close(source: Source, pieces: int) -> None:
    """Marks a source as done once all of its pieces can be seen from here."""
    unseen = [
        path for number in range(pieces) if not (path := piecework.place(source, number)).is_file()
    ]
    if unseen:
        raise DataError(
            f"{unseen[0]} was made but is not there ({len(unseen)} of {pieces} pieces): is `out` a folder that all "
            "machines share, under the same path?"
        )
    if pieces:
        piecework.close(source)


@contextmanager
def _connected(address: str, workers: int) -> Iterator[Any]:
    """Ray, connected; a connection that the program already has is used and kept."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "ray")
    if ray.is_initialized():
        yield ray
        return
    own = (
        {"num_cpus": workers or cpu.available(), "include_dashboard": False}
        if address == "local"
        else {}
    )
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except ConnectionError as error:
        raise ConfigError(f"cluster = {address}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raises ConfigError at once; Ray itself would try for a quarter of an hour."""
    if address in ("local", "auto"):
        return
    if not re.fullmatch(r"[\w.-]+:\d{1,5}", address):
        raise ConfigError(
            f"cluster = {address} is no address: give local, auto or HOST:PORT of the cluster's head"
        )
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cluster = {address} does not answer ({error}): start it with 'ray start --head', or check the address"
        ) from error
