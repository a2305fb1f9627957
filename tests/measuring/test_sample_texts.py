"""Texts to measure on."""

from __future__ import annotations

import json

import pytest

from destila.errors import DataError
from destila.measuring.sample_texts import spread, text_file, texts_of
from destila.types import Example


def test_a_spread_keeps_short_sequences_whole():
    assert spread([1, 2], 5) == [1, 2]


def test_a_spread_covers_the_whole_sequence():
    assert spread(range(5), 3) == [0, 2, 4]
    assert spread([1, 2, 3], 0) == []


def test_texts_have_words_and_no_labels(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("Ana vive aquí.\tSí.\n", encoding="utf-8")
    (example,) = texts_of(str(path), pairs=True)
    assert (example.text, example.pair, example.target) == ("Ana vive aquí.", "Sí.", None)
    assert len(example.words) == 4
    (tagged,) = texts_of(str(path), pairs=False)
    assert tagged.pair is None


def test_a_row_without_text_is_named_by_its_number(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "Hola."}\n{"texto": "Hola."}\n', encoding="utf-8")
    with pytest.raises(DataError, match="text 2 has no string"):
        texts_of(str(path), pairs=False)


def test_a_text_file_is_there_only_inside_its_block():
    with text_file([Example("a", "sí"), Example("b", "no", "quizá")]) as path:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"id": "a", "text": "sí"}, {"id": "b", "text": "no", "pair": "quizá"}]
    assert not path.exists()
