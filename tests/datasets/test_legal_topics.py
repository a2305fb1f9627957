"""Legal topics: packed JSON lines, and the heading that is never loaded."""

from __future__ import annotations

import gzip
import json

import pytest

from destila.datasets import legal_topics
from destila.errors import DataError


def _load(tmp_path, **changes):
    row = {
        "id": "DEC-1",
        "label": "salud",
        "subject": "MINISTERIO DE SALUD",
        "rank": "decreto",
        "date": "2000-11-06",
        "text": "Autorízase al organismo.\nVISTO",
    } | changes
    for split in ("train", "dev", "test"):
        lines = (
            json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False) + "\n"
        )
        (tmp_path / f"{split}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return legal_topics.load(legal_topics.Options(root=str(tmp_path)))


def test_packed_lines_are_read(tmp_path):
    (example,) = _load(tmp_path).splits["dev"]
    assert (example.id, example.text, example.target) == (
        "DEC-1",
        "Autorízase al organismo.\nVISTO",
        "salud",
    )


def test_the_heading_that_gives_the_label_away_is_never_loaded(tmp_path):
    assert "MINISTERIO" not in repr(_load(tmp_path).splits)


def test_documents_without_text_are_dropped_and_counted(tmp_path):
    assert _load(tmp_path, text=" ").notes == {"documents without text, dropped": 3}


def test_an_unknown_topic_is_an_error(tmp_path):
    with pytest.raises(
        DataError, match=r"label 'Salud' of train example DEC-1 .* Did you mean 'salud'"
    ):
        _load(tmp_path, label="Salud")


def test_a_missing_key_is_an_error_with_the_line(tmp_path):
    with pytest.raises(DataError, match="line 1: no key 'text'"):
        _load(tmp_path, text=None)
