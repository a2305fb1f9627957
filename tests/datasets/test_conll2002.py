"""CoNLL-2002: three columns, two encodings, -DOCSTART-, tags as published."""

from __future__ import annotations

import pytest

from destila.datasets import conll2002
from destila.errors import DataError

TRAIN = "-DOCSTART- -X- O\n\nLa DA B-LOC\nCoruña NC I-LOC\n, Fc O\n\nHabla VMI O\nAna NP B-PER\n\n"
OTHER = "Señor NC O\nMuñoz NP B-PER\n"


def _folder(tmp_path, train=TRAIN, encoding="utf-8"):
    for name, text in (("esp.train", train), ("esp.testa", OTHER), ("esp.testb", OTHER)):
        (tmp_path / name).write_bytes(text.encode(encoding))
    return conll2002.Options(root=str(tmp_path))


def test_testa_is_dev_and_testb_is_test(tmp_path):
    data = conll2002.load(_folder(tmp_path))
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 2, "dev": 1, "test": 1}
    first = data.splits["train"][0]
    assert first.text == "La Coruña ,"
    assert first.words == ((0, 2), (3, 9), (10, 11))
    assert first.target == ("B-LOC", "I-LOC", "O")


def test_labels_have_the_published_order(tmp_path):
    assert conll2002.load(_folder(tmp_path)).labels[:4] == ("O", "B-PER", "I-PER", "B-ORG")


def test_the_original_latin1_files_are_read_and_counted(tmp_path):
    data = conll2002.load(_folder(tmp_path, encoding="latin-1"))
    assert data.splits["train"][0].text == "La Coruña ,"
    assert data.notes == {"files read as Latin-1": 3}


def test_an_entity_that_begins_with_i_is_kept_and_counted(tmp_path):
    data = conll2002.load(_folder(tmp_path, train="Ana NP I-PER\n"))
    assert data.splits["train"][0].target == ("I-PER",)
    assert data.notes == {"I- tags that begin an entity, kept as published": 1}


def test_two_columns_without_the_part_of_speech_are_read_too(tmp_path):
    assert conll2002.load(_folder(tmp_path, train="Ana B-PER\n")).splits["train"][0].target == (
        "B-PER",
    )


def test_a_long_sentence_keeps_every_word(tmp_path):
    data = conll2002.load(_folder(tmp_path, train="uno Z O\n" * 1238))
    assert len(data.splits["train"][0].words) == 1238


def test_an_unknown_tag_is_an_error_with_the_example(tmp_path):
    with pytest.raises(DataError, match="label 'B-PERS' of train example train-1"):
        conll2002.load(_folder(tmp_path, train="Ana NP B-PERS\n"))


def test_a_missing_file_is_named(tmp_path):
    options = _folder(tmp_path)
    (tmp_path / "esp.testb").unlink()
    with pytest.raises(DataError, match=r"has no esp\.testb"):
        conll2002.load(options)
