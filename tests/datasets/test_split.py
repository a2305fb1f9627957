"""Splits by hash and the last checks of every loader."""

from __future__ import annotations

from collections import Counter

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
        fill_splits({"train": MANY[10:], "dev": MANY[:5], "test": MANY[5:10]}, "f", Counter())[
            "dev"
        ]
        == MANY[:5]
    )


def test_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="the dev split is empty"):
        fill_splits({"train": MANY, "dev": [], "test": MANY}, "f", Counter())


def test_labels_are_sorted_and_notes_of_nothing_are_left_out():
    data = finish("x", "classify", None, {"train": MANY}, {"dropped": 0, "repaired": 2})
    assert (data.labels, data.notes) == (("a", "b"), {"repaired": 2})


def _rows(labels):
    return [Example(str(n), f"texto {n}", target=label) for n, label in enumerate(labels)]


@pytest.mark.parametrize("count", [10, 20, 30, 60, 200])
@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_each_split_of_a_small_set_has_each_label(count, classes):
    rows = _rows([classes[n % len(classes)] for n in range(count)])
    splits = fill_splits({"train": rows}, "f", Counter())
    for examples in splits.values():
        assert {e.target for e in examples} == set(classes)
    assert sorted(e.id for s in splits.values() for e in s) == sorted(e.id for e in rows)
    assert len(splits["train"]) >= 0.4 * count


def test_a_rare_label_is_learnt_first():
    notes = Counter()
    splits = fill_splits({"train": _rows(["a"] * 40 + ["b"] * 40 + ["rara"])}, "f", notes)
    assert "rara" in {e.target for e in splits["train"]}
    splits = fill_splits({"train": _rows(["a"] * 97 + ["b"] * 3)}, "f", notes)
    assert all("b" in {e.target for e in examples} for examples in splits.values())


def test_groups_stay_together_when_they_are_moved():
    """One text is one group, whatever its pairs."""
    rows = [
        Example(f"{n}-{m}", f"premisa {n}", pair=f"hipótesis {m}", target="abc"[m])
        for n in range(6)
        for m in range(3)
    ]
    splits = fill_splits({"train": rows}, "f", Counter())
    texts = [{e.text for e in examples} for examples in splits.values()]
    assert all(texts)
    assert sum(map(len, texts)) == 6


@pytest.mark.parametrize("articles", [3, 5, 30, 40, 50])
def test_a_split_of_few_groups_is_never_empty(articles):
    rows = [
        Example(f"{n}-{q}", f"pregunta {q}", pair=f"contexto {n}", answers=((0, 8),))
        for n in range(articles)
        for q in range(5)
    ]
    splits = fill_splits({"train": rows}, "f", Counter(), lambda e: e.pair or "")
    contexts = [{e.pair for e in examples} for examples in splits.values()]
    assert all(contexts)
    assert sum(map(len, contexts)) == articles


def test_two_texts_are_too_few_for_three_splits():
    with pytest.raises(DataError, match="fewer than 3 different texts"):
        fill_splits({"train": _rows("ab") * 9}, "f", Counter())


def test_a_set_of_normal_size_is_split_by_hash_alone():
    rows = _rows(["rara" if n % 400 == 0 else "ab"[n % 2] for n in range(2000)])
    shares = {"train": 0.8, "dev": 0.1, "test": 0.1}
    assert fill_splits({"train": rows}, "f", Counter()) == split_by_hash(rows, shares)
