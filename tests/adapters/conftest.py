"""Models of every task that nobody trained, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import LINES
from tests.inference.conftest import export_untrained

TEXT = "Begoña  Núñez, de Zaragoza 🎉,\n vive en EE.UU. desde 2019.  "
LONG = " ".join([*LINES, TEXT])


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory, bpe) -> Callable[[str], Path]:
    """Returns the exported folder of a task: `folder_of("tag")`."""

    @cache
    def make(task: str) -> Path:
        return export_untrained(tmp_path_factory.mktemp(task), bpe, task)

    return make


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory, bpe) -> Callable[..., Path]:
    """Returns a folder of weights with labels of one's own: `weights_of("tag", ("NOUN", "VERB"))`."""

    @cache
    def make(task: str, labels: tuple[str, ...]) -> Path:
        from destila.models import hf, store

        shape = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.3}
        loaded = hf.load(shape, tokenizer=bpe, task=task, labels=labels, seed=1)
        folder = tmp_path_factory.mktemp("weights")
        store.save_model(loaded.model, bpe, folder, extra={"max_length": 32})
        return folder

    return make
