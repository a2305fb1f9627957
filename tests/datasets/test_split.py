"""Splits by hash and the last checks of every loader."""

from __future__ import annotations

import pytest

from destila.datasets._split import fill_splits, finish, split_by_hash
from destila.errors import DataError
from destila.types import Example

MANY = [Example(str(n), f"texto {n}", target="ab"[n % 2]) for n in range(2000)]


def test_shares_are_about_what_was_asked():
    splits = split_by_hash(MANY, {"train": 0.8, "dev": 0.1, "test": 0.1})
    assert sum(map(len, splits.values())) == 2000
    assert 1500 < len(splits["train"]) < 1700
    assert 150 < len(splits["dev"]) < 250


def test_a_text_stays_in_its_split_whatever_else_is_there():
    """Others may be added or taken away."""
    shares = {"train": 0.8, "dev": 0.2}
    assert [e.id for e in split_by_hash(MANY, shares)["dev"]][:5] == [
        e.id for e in split_by_hash(MANY[:500], shares)["dev"]
    ][:5]


def test_given_splits_are_left_alone():
    assert (
        fill_splits({"train": MANY[10:], "dev": MANY[:5], "test": MANY[5:10]}, "f")["dev"]
        == MANY[:5]
    )


def test_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="the dev split is empty"):
        fill_splits({"train": MANY, "dev": [], "test": MANY}, "f")


def test_labels_are_sorted_and_notes_of_nothing_are_left_out():
    data = finish("x", "classify", None, {"train": MANY}, {"dropped": 0, "repaired": 2})
    assert (data.labels, data.notes) == (("a", "b"), {"repaired": 2})
