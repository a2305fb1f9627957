"""PAWS-X es: no quoting, the NS placeholder, empty sentences, folds of dev."""

from __future__ import annotations

import pytest

from destila.config import build_config
from destila.datasets import paws_x
from destila.errors import ConfigError, DataError

HEADER = "id\tsentence1\tsentence2\tlabel\n"


@pytest.fixture
def folder(tmp_path):
    rows = [f"{n}\tFrase {n} así.\tAsí, frase {n}.\t{n % 2}\n" for n in range(100)]
    (tmp_path / "dev_2k.tsv").write_text(
        HEADER + "".join(rows) + "200\tNS\tAlgo.\t0\n201\tAlgo.\tNS\t1\n", encoding="utf-8"
    )
    (tmp_path / "test_2k.tsv").write_text(
        HEADER + '1\t"Uno" dijo.\tDijo "uno.\t1\n2\tA.\tNS\t0\n', encoding="utf-8"
    )
    return tmp_path


def test_placeholders_are_dropped_and_counted_per_split(folder):
    data = paws_x.load(paws_x.Options(root=str(folder)))
    assert len(data.splits["train"]) + len(data.splits["dev"]) == 100
    assert data.notes["dev pairs with the placeholder NS, dropped"] == 2
    assert data.notes["test pairs with the placeholder NS, dropped"] == 1


def test_placeholders_can_be_kept_for_the_papers_counts(folder):
    data = paws_x.load(paws_x.Options(root=str(folder), placeholder="keep"))
    assert (len(data.splits["train"]) + len(data.splits["dev"]), len(data.splits["test"])) == (
        102,
        2,
    )


def test_quotes_are_characters(folder):
    (example,) = paws_x.load(paws_x.Options(root=str(folder))).splits["test"]
    assert (example.text, example.pair, example.target) == ('"Uno" dijo.', 'Dijo "uno.', "1")


def test_folds_of_dev_are_disjoint_and_cover_it(folder):
    devs = [paws_x.load(paws_x.Options(root=str(folder), fold=k)).splits["dev"] for k in range(5)]
    ids = [e.id for dev in devs for e in dev]
    assert len(ids) == len(set(ids)) == 100
    assert all(8 <= len(dev) <= 35 for dev in devs)


def test_the_translated_training_file_trains(folder):
    """Its empty sentences are dropped."""
    (folder / "translated_train.tsv").write_text(
        HEADER + "1\tUno.\tDos.\t0\n2\t\tDos.\t1\n3\tTres.\t\t0\n"
    )
    data = paws_x.load(paws_x.Options(root=str(folder)))
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 1, "dev": 100, "test": 1}
    assert data.notes["train pairs with an empty sentence, dropped"] == 2


def test_an_unknown_label_is_an_error_with_its_line(folder):
    (folder / "test_2k.tsv").write_text(HEADER + "1\ta\tb\t2\n")
    with pytest.raises(DataError, match="line 2: label '2' is neither 0 nor 1"):
        paws_x.load(paws_x.Options(root=str(folder)))


def test_a_fold_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="fold 5 does not exist"):
        build_config(paws_x.Options, {"fold": 5})
