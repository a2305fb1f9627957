"""Serve exported models over HTTP: an API, a stream, metrics and a page to try them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from destila import cpu, hub
from destila.config import Options, opt
from destila.errors import ConfigError, require

TOKEN = "DESTILA_TOKEN"
"""The environment variable with the token, so that it stands in no list of processes."""

_ORIGIN = re.compile(r"https?://[\w.-]+(:\d+)?|https?://\[[\da-fA-F:]+\](:\d+)?|\*")
"""What a browser sends as the origin of a page: no path, no slash at its end; `*` is anybody."""

PANEL = "A finished model"


class Config(Options):
    """What to serve, and where."""

    models: tuple[str, ...] = opt(..., "exported folders, or NAME=FOLDER", min_length=1)
    host: str = opt("127.0.0.1", "address to listen on; 0.0.0.0 = everybody's")
    port: int = opt(8000, "port to listen on", ge=0, le=65535)
    workers: int | None = opt(
        None, "texts labelled at once; none = OMP_NUM_THREADS, else one per core", ge=1
    )
    queue: int = opt(2048, "texts that may wait; more are refused with 503", ge=1)
    max_body: int = opt(1 << 20, "bytes of a request, or of a line of a stream", ge=1)
    max_texts: int = opt(256, "texts in one request", ge=1)
    max_characters: int = opt(100_000, "characters of one text", ge=1)
    timeout: float = opt(60.0, "seconds until a request is answered or given up", gt=0)
    allow_origin: tuple[str, ...] = opt(
        (), "site whose pages may ask, such as https://example.org (CORS); none = no other site"
    )


def run(config: Config) -> dict[str, Any]:
    """Serve until the process is told to stop, answering what was taken.

    A token in the environment variable DESTILA_TOKEN must be sent by every client.

    Raises:
        MissingExtraError: fastapi, uvicorn or prometheus-client are not installed.
        ConfigError: two models have one name, or an origin is none.
        ModelError: a folder is no exported model.
    """
    # What is missing is said before a model is loaded.
    for package in ("fastapi", "uvicorn", "httptools", "prometheus_client"):
        require(package, "serve")
    from destila.serve.app import create_app
    from destila.serve.bodies import Limits
    from destila.serve.guard import log_event
    from destila.serve.pool import WorkerPool
    from destila.serve.running import listen, run_server

    for origin in config.allow_origin:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"--allow-origin {origin}: write it as https://example.org")

    # A port that is taken or a wrong folder stops the start. Who comes before the models are
    # loaded waits until they are.
    folders = name_models(config.models)
    with listen(config.host, config.port) as listening:
        # One session a worker and model.
        workers = cpu.threads(config.workers)
        pool = WorkerPool(folders, workers=workers, capacity=config.queue)
        limits = Limits(config.max_body, config.max_texts, config.max_characters, config.timeout)
        token = os.environ.get(TOKEN) or None
        app = create_app(pool, limits=limits, token=token, origins=config.allow_origin)

        # Until SIGTERM; then what was taken is answered, within the time of a request.
        host, port = listening.getsockname()[:2]
        log_event("listening", host=host, port=port, models=sorted(folders), workers=workers)
        run_server(app, listening, seconds=config.timeout)
    return {"served": sorted(folders), "host": host, "port": port}


def name_models(models: tuple[str, ...]) -> dict[str, Path]:
    """Map the name of every model to its folder.

    A folder's own name is the model's, but for `best`, which every run has: there it is the run's.
    What is no folder here is called as it is given, a model of the hub without its organisation.

    Raises:
        ConfigError: two models have one name.
    """
    folders: dict[str, Path] = {}
    for given in models:
        # NAME=FOLDER, or a folder alone.
        name, equals, place = given.partition("=")
        folder = hub.resolve(place if equals else given)
        if not equals and Path(given).is_dir():
            path = folder.resolve()
            name = path.parent.name if path.name == "best" else path.name
        elif not equals:
            name = given.rpartition("/")[2]

        if name in folders:
            raise ConfigError(f"two models are called '{name}': give names, as in NAME={folder}")
        folders[name] = folder
    return folders
