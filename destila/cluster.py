"""A Ray cluster, to which the work of several machines is handed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from destila import cpu
from destila.errors import ConfigError, DataError, DestilaError, require

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
