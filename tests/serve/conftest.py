"""A server over models that nobody trained."""

from __future__ import annotations

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

    def make(task: str, *, limits=None, token=None, **options):
        app = create_app(pool(task, **options), limits=limits, token=token)
        return TestClient(app, raise_server_exceptions=True)

    return make
