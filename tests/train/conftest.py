"""The toy of `toy.py`, for every test of training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(autouse=True)
def _one_thread():
    """Toys are too small to share among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_path() -> Path:
    """The toy as a command: `python toy.py JSON`."""
    return TOY


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The toy as a module."""
    spec = importlib.util.spec_from_file_location("toy_of_training", TOY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_of_training"] = module
    spec.loader.exec_module(module)
    return module
