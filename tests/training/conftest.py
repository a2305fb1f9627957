"""Tests of training run in one thread."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Toys are too small to share among threads."""
