"""Rows whose words stand in a random order: the same words, whole, in their pair; what is fixed stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from destila.pretraining.data.word_order import shuffled
from destila.tokenizer.word_marks import read_word_marks, word_starts

TEXTS = (
    "El presidente de la República visitó Sevilla, Córdoba y Málaga.",
    "La cigüeña nadó hasta el río del pueblo.",
)


@pytest.fixture
def row(tokenizer):
    """A row of two pairs and two pads: ids [1, L], pair [1, L]."""
    pieces = [[tokenizer.cls_id, *p.ids.tolist(), tokenizer.sep_id] for p in tokenizer.text(TEXTS)]
    ids = [*pieces[0], *pieces[1], tokenizer.pad_id, tokenizer.pad_id]
    pair = [1] * len(pieces[0]) + [2] * len(pieces[1]) + [0, 0]
    return np.array([ids]), np.array([pair])


def words(ids, where, found):
    """The words of one pair, each as its pieces."""
    own = ids[where][None]
    starts = np.flatnonzero(word_starts(own, found)[0])
    ends = [*starts[1:], own.shape[1] - 1]
    return Counter(tuple(own[0, a:b].tolist()) for a, b in zip(starts, ends, strict=True))


def test_every_pair_keeps_its_words_and_loses_their_order(row, wordpiece, tokenizer):
    (ids, pair), found = row, read_word_marks(tokenizer)
    mixed = shuffled(ids, pair, np.zeros_like(ids, bool), found, seed=1)
    for number in (1, 2):
        if tokenizer is wordpiece:  # elsewhere a word without a blank may be glued to another
            assert words(mixed, pair == number, found) == words(ids, pair == number, found)
        assert sorted(mixed[pair == number]) == sorted(ids[pair == number])
        assert mixed[pair == number].tolist() != ids[pair == number].tolist()
    assert (
        mixed[read_word_marks(tokenizer).special[ids]]
        == ids[read_word_marks(tokenizer).special[ids]]
    ).all()


def test_what_is_fixed_stays_where_it_is(row, tokenizer):
    (ids, pair), fixed = row, np.zeros_like(row[0], bool)
    fixed[0, 2:5] = fixed[0, 12] = True
    mixed = shuffled(ids, pair, fixed, read_word_marks(tokenizer), seed=1)
    assert mixed[fixed].tolist() == ids[fixed].tolist()
    assert sorted(mixed[0]) == sorted(ids[0])


def test_equal_seeds_give_equal_orders(row, bpe):
    ids, pair = np.arange(20, 60).reshape(2, 20), np.ones((2, 20), int)
    orders = [
        shuffled(ids, pair, np.zeros_like(ids, bool), read_word_marks(bpe), seed=s)
        for s in (1, 1, 2)
    ]
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any()
    assert sorted(orders[0][0]) == sorted(ids[0])  # rows do not mix


def test_rows_with_nothing_to_move_are_left_alone(bpe):
    ids = np.full((2, 5), bpe.mask_id)
    assert (
        shuffled(ids, np.ones((2, 5), int), np.zeros_like(ids, bool), read_word_marks(bpe), seed=0)
        == ids
    ).all()
