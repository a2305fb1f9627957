"""Texts to measure on."""

from __future__ import annotations

import json

import pytest

from destila.errors import DataError
from destila.measuring.sample_texts import spread, text_file, texts_of
from destila.tasks.classify import TASK as CLASSIFY
from destila.tasks.tag import TASK as TAG
from destila.types import Example


def test_a_spread_keeps_short_sequences_whole():
    assert spread([1, 2], 5) == [1, 2]


def test_a_spread_covers_the_whole_sequence():
    assert spread(range(5), 3) == [0, 2, 4]
    assert spread([1, 2, 3], 0) == []


def test_texts_have_words_and_no_labels(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("Ana vive aquí.\tSí.\n", encoding="utf-8")
    (example,) = texts_of(str(path), CLASSIFY)
    assert (example.text, example.pair, example.target) == ("Ana vive aquí.", "Sí.", None)
    assert len(example.words) == 4
    (tagged,) = texts_of(str(path), TAG)
    assert tagged.pair is None


def test_what_predict_reads_is_read(tmp_path):
    """Words, columns of the training data, and around what cannot be read."""
    path = tmp_path / "texts.jsonl"
    path.write_text('{"words": ["Hola", "."]}\n{"texto": "Hola."}\n\n{\n', encoding="utf-8")
    assert [e.text for e in texts_of(str(path), TAG)] == ["Hola ."]
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "destila.json").write_text('{"columns": {"text": "texto"}}')
    assert [e.text for e in texts_of(str(path), TAG, tmp_path)] == ["Hola .", "Hola."]


def test_a_file_without_any_text_is_refused(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n  \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"texts\.txt has no text .*every line is blank"):
        texts_of(str(path), TAG)


def test_a_text_file_is_there_only_inside_its_block():
    with text_file([Example("a", "sí"), Example("b", "no", "quizá")]) as path:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"id": "a", "text": "sí"}, {"id": "b", "text": "no", "pair": "quizá"}]
    assert not path.exists()
