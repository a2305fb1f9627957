"""Folds of a small set: every text held out once, with its label's share, equal texts together."""

from __future__ import annotations

from collections import Counter

import pytest

from destila.errors import ConfigError
from destila.study.intake.detect import detect, folds_for
from destila.study.planning.folds import deal, fold_studies, with_folds
from destila.types import Example
from tests.fixtures.studies import study_of


def _table(tmp_path, count=60):
    """A file of texts, a third of them twice, one in six 'sí'."""
    rows = [
        f"mensaje {n % (count * 2 // 3)} de hoy,{'no' if n % 6 else 'sí'}" for n in range(count)
    ]
    (tmp_path / "f.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return f'data={{use = "table", train = "{tmp_path / "f.csv"}"}}'


def test_folds_share_labels_and_keep_equal_texts_together():
    examples = [Example(str(i), f"t{i % 40}", target="abc"[i % 40 % 3]) for i in range(60)]
    folds = deal(examples, 4)
    assert sorted(e.id for fold in folds for e in fold) == sorted(e.id for e in examples)
    texts = [{e.text for e in fold} for fold in folds]
    assert sum(map(len, texts)) == 40
    for fold in texts:
        labels = Counter("abc"[int(text[1:]) % 3] for text in fold)
        assert all(3 <= labels[label] <= 4 for label in "abc")
    with pytest.raises(ConfigError, match="3 different texts"):
        deal(examples[:3], 4)


def test_no_fold_is_trained_on_what_it_is_tested_on(tiny, tmp_path):
    study = study_of(tiny(), _table(tmp_path), "folds=3")
    parts = fold_studies(study)
    whole = with_folds(study, parts)
    assert (whole.scored, len(whole.dataset.splits[whole.scored]), study.scored) == (
        "cross-validation",
        60,
        "test",
    )
    for part in parts:
        held, train, dev = (
            {e.text for e in part.dataset.splits[name]} for name in ("test", "train", "dev")
        )
        assert not held & (train | dev)
        assert train
        assert dev
        assert not train & dev
        assert part.folder.parent == study.folder / "folds"
    assert len({part.key for part in parts} | {study.key}) == 4
    assert study_of(tiny(), _table(tmp_path)).key != study.key


@pytest.mark.parametrize(
    ("data", "change", "message"),
    [
        ("demo_intents", "folds=3", "splits of their own"),
        ("demo_tags", "folds=3", "for classification"),
        ("demo_intents", "folds=1", "at least 2"),
    ],
)
def test_other_data_are_refused(tiny, data, change, message):
    with pytest.raises(ConfigError, match=message):
        fold_studies(study_of(tiny(data), change))


@pytest.mark.parametrize(("count", "folds"), [(30, 5), (12, 0), (240, 0)])
def test_small_sets_are_given_folds(tmp_path, count, folds):
    """Not those with too few different texts, nor those that have enough."""
    _table(tmp_path, count)
    assert folds_for(detect(str(tmp_path / "f.csv"))) == folds
