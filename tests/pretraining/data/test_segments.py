"""Documents cut into stretches: nothing lost, nothing across documents, sizes that are nearly equal."""

from __future__ import annotations

import numpy as np
import pytest

from destila.errors import DataError
from destila.pretraining.data.segments import Segments, cut_segments, is_held_out, read_segments


def sizes(documents: int, *, sentences: int, longest: int) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [
        random.integers(1, longest, random.integers(1, sentences)).tolist()
        for _ in range(documents)
    ]


def many(count: int) -> Segments:
    numbers = np.arange(count)
    return Segments(np.zeros(count, np.int32), numbers, numbers + 1, np.ones(count, np.int64))


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_stretches_are_the_corpus_in_its_order(make, size):
    corpus = make("a", [*sizes(50, sentences=60, longest=30), [], [0, 3, 0], [7]], per_shard=20)
    found = cut_segments(corpus, size)
    each = [read_segments([corpus], [found], np.array([[0, at]])) for at in range(len(found))]
    pieces = [(text.tokens, text.sentences) for text in each]
    assert np.concatenate([tokens for tokens, _ in pieces]).tolist() == [
        t for d in corpus for t in d.tokens.tolist()
    ]
    assert all(
        len(tokens) == lengths.sum() == n
        for (tokens, lengths), n in zip(pieces, found.tokens, strict=True)
    )


def test_stretches_of_a_book_are_of_nearly_equal_size(make):
    found = cut_segments(make("a", [[10] * 1010]), 1000)
    assert len(found) == 10
    assert set(found.tokens.tolist()) == {1010}


def test_no_stretch_crosses_documents_and_short_ones_stay_whole(make):
    corpus = make("a", [[5, 5], [900, 900], [7], [3, 4]], per_shard=2)
    assert cut_segments(corpus, 1000).tokens.tolist() == [10, 900, 900, 7, 7]


def test_a_sentence_is_never_cut(make):
    found = cut_segments(make("a", [[5000, 10, 10]]), 100)
    assert found.tokens.tolist() == [5000, 20]


def test_a_corpus_without_text_is_refused(make):
    with pytest.raises(DataError, match=r"bare holds no text: make the corpus again"):
        cut_segments(make("bare", [[], [0]]), 100)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_the_share_held_out_is_spread_over_the_corpus(share):
    held = is_held_out(many(20_000), share)
    assert held.mean() == pytest.approx(share, rel=0.2)
    assert held[:10_000].mean() == pytest.approx(share, rel=0.3)


def test_what_is_held_out_stays_so_when_a_corpus_grows():
    assert np.array_equal(is_held_out(many(5000), 0.01), is_held_out(many(9000), 0.01)[:5000])


@pytest.mark.parametrize(
    ("count", "share", "held"), [(1, 0.5, 0), (2, 0.001, 1), (5, 0.001, 1), (5, 0.0, 0)]
)
def test_small_corpora_hold_one_out_and_never_all(count, share, held):
    assert is_held_out(many(count), share).sum() == held
