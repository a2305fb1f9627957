"""Cells run as ordinary studies: searched, tested, gone on with; one that fails costs itself alone."""

from __future__ import annotations

import pytest

from destila import records
from destila.commands import run as command
from destila.errors import ConfigError
from destila.matrix.matrix import cells_of, read_matrix
from destila.matrix.run_matrix import run_cells

TABLE = """
name = "table"
published = "slides-2023"

[recipe]
max_length = 48
baseline = false
out = "{out}"
train = {{ epochs = 1, batch_size = 16, lr = 2e-3 }}
measure = {{ texts = 0 }}

[datasets.intents]
title = "Intents"
data = {{ use = "demo_intents", train = 48, dev = 24, test = 24 }}
scores = ["accuracy"]
size = {{ train = 48, dev = 24, tokens = 20 }}

[datasets.tags]
title = "Tags"
data = {{ use = "demo_tags", train = 48, dev = 24, test = 24 }}
scores = ["entity_f1"]
size = {{ train = 48, dev = 24, tokens = 20 }}
recipe = {{ search = {{ space = {{ "train.lr" = [1e-3, 2e-3] }} }} }}

[models.small]
student = {{ shape = {{ kind = "albert", layers = 1, hidden = 16, heads = 2 }}, tokenizer = {{ vocab_size = 400 }} }}

[models.gone]
student = {{ model = "albeto-base" }}
missing = "its weights were not released"

[[matrix]]
models = ["small"]
datasets = ["intents", "tags"]

[[matrix]]
models = ["gone"]
datasets = ["intents"]
"""


@pytest.fixture
def path(tmp_path, monkeypatch, fast_testing):
    """The file of the table above."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "table.toml"
    file.write_text(TABLE.format(out=tmp_path / "runs"), encoding="utf-8")
    return str(file)


def test_every_cell_has_its_record_and_is_done_once(path, trained):
    result = command.run(command.Config(recipe=path))
    assert result["failed"] == ["gone/intents: gone: its weights were not released"]

    # Two trials, and the study of the better one, which trains nothing again.
    assert trained == ["small-finetuned-s0"] * 3
    for cell in cells_of(read_matrix(path), ["small/*"]):
        (record,) = records.read_records(cell.records_path)
        assert (record.role, record.model) == (cell.training, "small")
        assert cell.path.is_file()

    trained.clear()
    command.run(command.Config(recipe=path, only=("small/*",)))
    assert not trained


def test_cells_that_all_fail_are_an_error(path):
    with pytest.raises(ConfigError, match="gone: its weights were not released"):
        run_cells(cells_of(read_matrix(path), ["gone/*"]))


def test_only_belongs_to_a_matrix(tiny):
    with pytest.raises(ConfigError, match="--only goes with a matrix"):
        command.run(command.Config(recipe=str(tiny()), only=("a/b",)))
