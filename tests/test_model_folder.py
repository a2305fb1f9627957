from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from destila.errors import ModelError
from destila.model_folder import read_folder


def write(folder: Path, **config) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_labels_come_in_the_order_of_their_ids(tmp_path: Path):
    names = {str(i): f"clase {i}" for i in (10, *range(10))}
    info = read_folder(
        write(tmp_path, architectures=["BertForSequenceClassification"], id2label=names)
    )
    assert info.labels == tuple(f"clase {i}" for i in range(11))
    assert (info.task, info.architecture, info.extra) == (
        "classify",
        "BertForSequenceClassification",
        {},
    )


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["RobertaForTokenClassification"], "tag"),
        (["AlbertForMaskedLM"], None),
        ([], None),
        (None, None),
    ],
)
def test_the_task_is_the_architectures(architectures, task, tmp_path: Path):
    info = read_folder(write(tmp_path, architectures=architectures))
    assert (info.task, info.labels) == (task, None)


def test_destila_json_comes_along(tmp_path: Path):
    write(tmp_path, architectures=[])
    (tmp_path / "destila.json").write_text('{"max_length": 64}')
    assert read_folder(str(tmp_path)).extra == {"max_length": 64}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "must hold a JSON object"),
        ('{"id2label": {"0": "a", "1": "a"}}', "names a label twice"),
        ('{"id2label": {"1": "a"}}', "0 to 0"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(text: str, says: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=says):
        read_folder(tmp_path)


def test_a_folder_without_config_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        read_folder(tmp_path)


def test_it_needs_no_torch():
    code = "import sys, destila.model_folder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_id_may_be_written_with_zeros(tmp_path):
    (tmp_path / "config.json").write_text('{"id2label": {"01": "b", "00": "a"}}')
    assert read_folder(tmp_path).labels == ("a", "b")
