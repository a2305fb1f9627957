"""A server over models that nobody trained."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.inference.conftest import asked, exported  # noqa: F401 - fixtures


@pytest.fixture
def pool(exported) -> Iterator[Callable[..., object]]:  # noqa: F811
    """Open a pool over one exported model: `pool("tag", workers=2)`; closed at the end."""
    from destila.serve.pool import WorkerPool

    opened = []

    def make(task: str, *, workers: int = 1, capacity: int = 100):
        opened.append(WorkerPool({task: exported(task)}, workers=workers, capacity=capacity))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def client(pool) -> Callable[..., object]:
    """Make a client of an application over one exported model."""
    from starlette.testclient import TestClient

    from destila.serve.app import create_app

    def make(task: str, *, limits=None, token=None, origins=(), **options):
        app = create_app(pool(task, **options), limits=limits, token=token, origins=origins)
        return TestClient(app, raise_server_exceptions=True)

    return make


@pytest.fixture
def served(pool) -> Iterator[Callable[..., str]]:
    """Serve an exported model on a free port: `served("tag")` returns the address."""
    uvicorn = pytest.importorskip("uvicorn")
    from destila.serve.app import create_app
    from destila.serve.running import PatientProtocol

    running = []

    def start(task: str, *, limits=None):
        listening = socket.create_server(("127.0.0.1", 0))
        app = create_app(pool(task), limits=limits)
        server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread, listening in running:
        server.should_exit = True
        thread.join(30)
        listening.close()
