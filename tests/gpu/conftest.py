"""What needs a GPU: `make gpu`. DESTILA_GPU_TESTS=cpu runs the same bodies on a CPU, to know that they run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

DRY = os.environ.get("DESTILA_GPU_TESTS") == "cpu"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(
        reason="torch finds no GPU here (DESTILA_GPU_TESTS=cpu for a dry run)"
    )
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not (DRY or torch.cuda.is_available()):
                item.add_marker(absent)


@pytest.fixture
def device() -> torch.device:
    """The GPU; in a dry run the CPU."""
    return torch.device("cpu" if DRY else "cuda")


@pytest.fixture
def real() -> None:
    """Skip in a dry run what only a GPU can show."""
    if DRY:
        pytest.skip("only a GPU shows it")


@pytest.fixture
def never_waiting(device) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which whatever waits for the GPU is an error."""

    @contextlib.contextmanager
    def context():
        if device.type == "cpu":
            yield
            return
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return context
