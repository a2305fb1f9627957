"""A user's own column files: separators, column numbers, entity schemes."""

from __future__ import annotations

import pytest

from destila.datasets import conll
from destila.errors import DataError

SENTENCES = "".join(f"Habla O\nAna{n} B-PER\nRuiz{n} I-PER\n\n" for n in range(60))


def _load(tmp_path, text, **options):
    path = tmp_path / "datos.conll"
    path.write_text(text, encoding="utf-8")
    return conll.load(conll.Options(train=str(path), **options))


def test_missing_splits_are_cut_out_by_hash(tmp_path):
    data = _load(tmp_path, SENTENCES)
    assert sum(len(s) for s in data.splits.values()) == 60
    assert data.labels == ("B-PER", "I-PER", "O")
    assert data.notes == {}


def test_tabs_keep_words_with_blanks_whole(tmp_path):
    data = _load(tmp_path, SENTENCES.replace(" ", "\t").replace("Habla", "10 000"), separator="tab")
    example = data.splits["train"][0]
    assert example.text[slice(*example.words[0])] == "10 000"


def test_columns_are_options(tmp_path):
    text = "".join(f"{n}\tAna{n}\t{'B-PER' if n % 2 else 'O'}\tx\n\n" for n in range(60))
    data = _load(tmp_path, text, word=1, tag=2, separator="tab")
    assert data.splits["train"][0].text.startswith("Ana")


def test_iob1_becomes_iob2_and_is_named(tmp_path):
    data = _load(tmp_path, SENTENCES.replace("B-PER", "I-PER"))
    assert data.splits["train"][0].target == ("O", "B-PER", "I-PER")
    assert data.notes == {"I- changed to B- (the file is in IOB1)": 60}


def test_faulty_iob2_is_repaired_and_counted(tmp_path):
    data = _load(tmp_path, SENTENCES + "Luis I-PER\n")
    assert data.notes == {"I- tags without a B- before, repaired": 1}


def test_bilou_becomes_bio(tmp_path):
    text = "".join(f"Ana{n} B-PER\nde I-PER\nRuiz L-PER\ny O\nLuis U-PER\n\n" for n in range(60))
    data = _load(tmp_path, text)
    assert data.splits["train"][0].target == ("B-PER", "I-PER", "I-PER", "O", "B-PER")
    assert data.notes == {"tags changed from BILOU/BIOES": 120}


def test_other_tags_are_kept_as_they_are(tmp_path):
    text = "".join(f"Ana{n} I-N\nva V\n\n" for n in range(60))
    assert _load(tmp_path, text).splits["train"][0].target == ("I-N", "V")


def test_a_line_with_one_column_is_an_error_with_its_number(tmp_path):
    with pytest.raises(DataError, match="line 2: 1 column"):
        _load(tmp_path, "Ana B-PER\nRuiz\n")


def test_words_given_as_tags_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"does not look like labels .*\(data\.tag in the recipe\)"):
        _load(tmp_path, "".join(f"O Ana{n}\n\n" for n in range(60)))


def test_a_tag_that_train_lacks_is_refused(tmp_path):
    test = tmp_path / "test.conll"
    test.write_text("Lugo B-LOC\n")
    with pytest.raises(DataError, match="label 'B-LOC' of test example test-1"):
        _load(tmp_path, SENTENCES, test=str(test))
