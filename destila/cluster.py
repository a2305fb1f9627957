"""A Ray cluster, to which the work of several machines is handed."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from destila import cpu
from destila.children import safe_path
from destila.errors import ConfigError, DataError, DestilaError, require
from destila.version import __version__

_SECONDS = 5.0
"""Wait for an answer of the cluster's head."""


@contextmanager
def connected(address: str, workers: int) -> Iterator[Any]:
    """Connect to a Ray cluster for a while; a connection that the program has is used and kept.

    Args:
        address: `local` starts a cluster of this machine alone, `auto` takes the one that this
            machine belongs to, else `HOST:PORT` of its head.
        workers: processors of a local cluster; 0 = all that this process may use.

    Raises:
        ConfigError: the cluster cannot be reached, or the address is none.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "ray")
    if ray.is_initialized():
        yield ray
        return

    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": workers or cpu.available(), "include_dashboard": False}
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
    """Raise ConfigError at once; Ray itself would try for a quarter of an hour."""
    if address in ("local", "auto"):
        return
    if not re.fullmatch(r"[\w.-]+:\d{1,5}", address):
        raise ConfigError(
            f"cluster = {address} is no address: give local, auto or HOST:PORT of the cluster's "
            "head"
        )

    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cluster = {address} does not answer ({error}): start it with 'ray start --head', "
            "or check the address"
        ) from error


def error_as_row(error: DestilaError | OSError | None) -> dict[str, Any]:
    """Return an error as plain values, since Ray would lose its class; of None empty ones."""
    row: dict[str, Any] = {"error": "", "message": "", "errno": 0, "file": ""}
    if isinstance(error, OSError):
        row |= {"error": "OSError", "message": error.strerror or str(error)}
        row |= {"errno": error.errno or 0, "file": str(error.filename or "")}
    elif error is not None:
        row |= {"error": type(error).__name__, "message": str(error)}
    return row


def restored_error(row: Mapping[str, Any]) -> Exception:
    """Build the error that a worker met from the values it came back as."""
    if row["error"] == "OSError":
        return OSError(row["errno"], row["message"], row["file"] or None)
    classes: list[type[DestilaError]] = [DestilaError, *DestilaError.__subclasses__()]
    kinds = {kind.__name__: kind for kind in classes}
    return kinds.get(row["error"], DataError)(str(row["message"]))


class BlockWorker:
    """Makes blocks of some work in an actor, with a model that it opens once."""

    def __init__(self, opened: Callable[[], Callable[[int], None]]) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many workers as processors
        self._opened = opened
        self._make: Callable[[int], None] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make a block; an error goes back as plain values."""
        error: DestilaError | OSError | None = None
        try:
            if row["version"] != __version__:
                raise ConfigError(
                    f"{socket.gethostname()} has destila {__version__}, and the command is of "
                    f"{row['version']}: install the same version on every machine"
                )
            self._make = self._make or self._opened()
            self._make(row["block"])
        except (DestilaError, OSError) as problem:
            error = problem
        return {"block": row["block"], **error_as_row(error)}


def make_blocks(
    blocks: Sequence[int],
    opened: Callable[[], Callable[[int], None]],
    *,
    address: str,
    workers: int,
    threads: int,
) -> Iterator[int]:
    """Have the actors of a cluster make blocks; yield the number of each one that is done.

    What passes through Ray is that number: what a block is made of is read from files, and what is
    made goes into files, under paths that all machines see. A worker that dies costs its block.

    Args:
        blocks: their numbers.
        opened: opens in an actor what makes a block; it travels there, so it holds paths alone.
        address: as `connected` takes it.
        workers: actors; 0 = as many as the cluster has GPUs, else processors for.
        threads: of each.

    Raises:
        ConfigError: the cluster cannot be reached, or a machine has another version.
        DestilaError: a block cannot be made.
    """
    with safe_path(), connected(address, workers * threads) as ray:
        data = require("ray.data", "ray")
        data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        slots = workers or gpus or max(1, int(resources.get("CPU", 1)) // threads)
        items = [{"block": number, "version": __version__} for number in blocks]
        done = data.from_items(items, override_num_blocks=len(items)).map(
            BlockWorker,
            fn_constructor_args=(opened,),
            num_cpus=threads,
            concurrency=min(slots, len(items)),
            **({"num_gpus": 1} if gpus else {}),
        )
        for row in done.iter_rows():
            if row["error"]:
                raise restored_error(row)
            yield row["block"]
