"""The toys of `toy.py` and `pretoy.py`, for every test of training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

TOY = Path(__file__).with_name("toy.py")
PRETOY = Path(__file__).parents[1] / "pretraining" / "pretoy.py"


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
    return _module("toy_of_training", TOY)


@pytest.fixture(scope="session")
def pretoy_path() -> Path:
    """The toy of pre-training as a command: `python pretoy.py JSON`."""
    return PRETOY


@pytest.fixture(scope="session")
def pretoy() -> ModuleType:
    """The toy of pre-training as a module."""
    return _module("toy_of_pretraining", PRETOY)


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
