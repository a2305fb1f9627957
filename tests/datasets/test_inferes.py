"""InferES: quoted CSV, renamed labels, splits by topic and as published."""

from __future__ import annotations

import pytest

from destila.datasets import inferes
from destila.errors import DataError

HEADER = "ID,Premise,Hypothesis,Label,Topic,Anno,Anno_Type\r\n"
TOPICS = ("2", "10", "1", "3", "6", "4", "5")


def _rows(start, count, label="ent"):
    return "".join(
        f'{n},"Premisa {n}, con\r\nsalto","Dijo ""{n}""",{label},{TOPICS[n % 7]},1,Generate\r\n'
        for n in range(start, start + count)
    )


def _folder(tmp_path, train=None, test=None):
    (tmp_path / "inferes_train.csv").write_text(
        HEADER + (train or _rows(0, 70)), encoding="utf-8", newline=""
    )
    (tmp_path / "inferes_test.csv").write_text(
        HEADER + (test or _rows(70, 14, "cnt")), encoding="utf-8", newline=""
    )
    return str(tmp_path)


def test_quotes_and_line_ends_inside_fields_are_read(tmp_path):
    example = inferes.load(inferes.Options(root=_folder(tmp_path), split="published")).splits[
        "test"
    ][0]
    assert (example.text, example.pair, example.target) == (
        "Premisa 70, con salto",
        'Dijo "70"',
        "contradiction",
    )


def test_topics_in_the_order_of_their_numbers_make_the_splits(tmp_path):
    splits = inferes.load(inferes.Options(root=_folder(tmp_path))).splits
    topics = {name: {e.meta["topic"] for e in examples} for name, examples in splits.items()}
    assert topics == {"train": {"1", "2", "3", "5"}, "dev": {"4"}, "test": {"6", "10"}}
    assert sum(map(len, splits.values())) == 84


def test_the_published_split_takes_dev_out_of_train_by_premise(tmp_path):
    splits = inferes.load(inferes.Options(root=_folder(tmp_path), split="published")).splits
    assert len(splits["train"]) + len(splits["dev"]) == 70
    assert not {e.text for e in splits["train"]} & {e.text for e in splits["dev"]}
    assert len(splits["test"]) == 14


def test_test_pairs_that_copy_train_pairs_are_counted(tmp_path):
    data = inferes.load(
        inferes.Options(root=_folder(tmp_path, test=_rows(68, 4)), split="published")
    )
    assert data.notes == {"test pairs that are copies of train pairs (kept)": 2}


def test_an_unknown_label_is_an_error_with_its_line(tmp_path):
    with pytest.raises(
        DataError, match=r"inferes_test\.csv, line 3: label 'entails' is none of ent, neutral, cnt"
    ):
        inferes.load(inferes.Options(root=_folder(tmp_path, test=_rows(0, 1, "entails"))))


def test_too_few_topics_are_an_error_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r'set data\.split = "published"'):
        inferes.load(inferes.Options(root=_folder(tmp_path, train=_rows(0, 2), test=_rows(2, 1))))
