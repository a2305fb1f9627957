"""Tasks are found by name or by path, and set up from a recipe's or a folder's settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from destila import plugins
from destila.errors import ConfigError, ModelError
from destila.model_folder import HEADS, FolderInfo
from destila.tasks import task_of, task_of_folder
from destila.types import Example

TASKS = ("classify", "tag", "span")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_found_by_its_name(name):
    task = task_of(name)
    assert task.name == name
    assert task.head in HEADS
    assert task.read_row(task.sample_row, 0).text == task.sample_row["text"]


def test_a_task_is_found_by_the_path_of_its_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from destila.tasks.tag import TagTask\n\nTASK = TagTask(every_piece=True)\n")
    assert task_of(str(path)).head == "tag"


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(
        ConfigError,
        match=r"no tasks plug-in is called 'parse'\. Known: classify, multilabel, span, tag",
    ):
        task_of("parse")


def test_settings_reach_the_task_that_they_concern():
    settings = {"labelling": "all", "max_length": 64, "span": {"nbest": 3}}
    assert task_of("classify", settings).settings() == {}
    assert task_of("tag", settings).every_piece
    options = task_of("span", settings).options
    assert (options.nbest, options.window, options.stride) == (3, 32, 24)


def test_a_folder_names_its_task_and_its_settings():
    span = {"window": 9, "stride": 5}
    info = FolderInfo(Path(), {}, ("start", "end"), "span", "", {"task": "span", "span": span})
    assert task_of_folder(info).facts()["span"].items() >= span.items()
    assert task_of_folder(FolderInfo(Path(), {}, ("a",), "tag", "")).name == "tag"


@pytest.mark.parametrize("name", ["classify", "tag"])
def test_a_task_of_classes_decodes_one_label_per_row(name):
    (prediction,) = task_of(name).decode([Example("0", "a")], [np.array([[0.0, 2.0]])], ("a", "b"))
    assert prediction.labels == ("b",)


def test_a_folder_cannot_have_code_run(tmp_path, monkeypatch):
    """A task in a file is run where a user named the file, and a folder's word is not enough."""
    monkeypatch.setenv(plugins.NAMED, "")
    path = tmp_path / "mine.py"
    path.write_text("from destila.tasks.tag import TagTask\n\nTASK = TagTask(every_piece=True)\n")
    info = FolderInfo(tmp_path, {}, ("a",), "tag", "", {"task": str(path)})
    with pytest.raises(ModelError, match=r"no model folder has code run.*DESTILA_PLUGINS"):
        task_of_folder(info)
    monkeypatch.setenv(plugins.NAMED, str(path))
    assert task_of_folder(info).head == "tag"
