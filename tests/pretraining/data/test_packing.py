"""Pairs of sentences in rows: nothing lost, nothing wasted, labels that tell what happened."""

from __future__ import annotations

import numpy as np
import pytest

from destila.pretraining.data.packing import FrameIds, PackedRows, Packing, flatten, pack
from destila.types import IGNORE

FRAME = FrameIds(cls=-2, sep=-3, pad=-1)


def corpus(documents: int = 300, sentences: int = 20, longest: int = 40) -> list[list[np.ndarray]]:
    """Documents whose tokens are numbered, so that each can be found again."""
    random = np.random.default_rng(0)
    made, number = [], 0
    for _ in range(documents):
        sizes = random.integers(1, longest, size=random.integers(1, sentences))
        made.append(
            [
                np.arange(a, a + n)
                for a, n in zip(number + np.cumsum(sizes) - sizes, sizes, strict=True)
            ]
        )
        number += (
            int(sizes.sum()) + 1000
        )  # documents are apart, so that what is consecutive is of one
    return made


def packed(documents, key=(0, 0), **options) -> PackedRows:
    return pack(flatten(documents), FRAME, Packing(**options), key=key)


def pairs(rows: PackedRows) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """A, B and label of every pair."""
    found = []
    for ids, types, numbers, order in zip(
        rows.input_ids, rows.type_ids, rows.pair, rows.order, strict=True
    ):
        for number in range(1, numbers.max() + 1):
            here = numbers == number
            inner, kind = ids[here], types[here]
            words = inner >= 0
            found.append(
                (inner[words & (kind == 0)], inner[words & (kind == 1)], int(order[here][0]))
            )
    return found


def text(documents) -> np.ndarray:
    return np.concatenate([s for d in documents for s in d])


@pytest.mark.parametrize(
    "options", [{}, {"length": 512}, {"length": 40, "short": 0.0}, {"pair": 30}]
)
def test_every_token_is_in_the_rows_once(options):
    documents = corpus()
    ids = packed(documents, **options).input_ids
    assert np.array_equal(np.sort(ids[ids >= 0]), text(documents))


def test_rows_are_not_padded_but_for_a_few_tokens():
    assert (packed(corpus()).pair == 0).mean() < 0.005


def test_every_pair_has_its_frame_its_positions_and_its_types():
    rows = packed(corpus(), pair=30)
    assert rows.pair.max() > 2
    for ids, types, positions, numbers in zip(
        rows.input_ids, rows.type_ids, rows.positions, rows.pair, strict=True
    ):
        for number in range(1, numbers.max() + 1):
            here = np.flatnonzero(numbers == number)
            assert np.array_equal(here, np.arange(here[0], here[-1] + 1))
            assert ids[here[0]] == FRAME.cls
            assert ids[here[-1]] == FRAME.sep
            assert np.array_equal(positions[here], np.arange(len(here)))
            seps = here[ids[here] == FRAME.sep]
            assert len(seps) == 1 + int(types[here].max())
            assert np.array_equal(types[here] == 1, here > seps[0])
        assert (ids[numbers == 0] == FRAME.pad).all()


def test_the_label_says_whether_the_halves_are_swapped():
    found = pairs(packed(corpus()))
    assert {label for *_, label in found} == {0, 1, IGNORE}
    for first, second, label in found:
        if label == IGNORE:
            assert len(second) == 0
            whole = first
        else:
            whole = np.concatenate([second, first] if label else [first, second])
        assert np.array_equal(whole, np.arange(whole[0], whole[0] + len(whole)))


def test_pairs_are_cut_between_sentences():
    documents = corpus()
    starts = {int(s[0]) for d in documents for s in d}
    ends = {int(s[-1]) for d in documents for s in d}
    for first, second, label in pairs(packed(documents)):
        if label != IGNORE:
            before, after = (second, first) if label else (first, second)
            if int(before[0]) in starts and int(after[-1]) in ends:
                assert int(before[-1]) in ends
                assert int(after[0]) in starts


def told_by_the_ends(rows: PackedRows, documents) -> float:
    """Share of labels that are right when one knows only where halves begin and end with a sentence."""
    starts = {int(s[0]) for d in documents for s in d}
    ends = {int(s[-1]) for d in documents for s in d}
    seen: dict[tuple[bool, ...], list[int]] = {}
    for *halves, label in pairs(rows):
        if label != IGNORE:
            whole = [(int(half[0]) in starts, int(half[-1]) in ends) for half in halves]
            seen.setdefault(tuple(sum(whole, ())), []).append(label)
    labels = sum(map(len, seen.values()))
    assert labels > 500
    return sum(max(sum(found), len(found) - sum(found)) for found in seen.values()) / labels


@pytest.mark.parametrize("options", [{"length": 48}, {"length": 128}, {"length": 256, "pair": 64}])
def test_where_sentences_are_torn_does_not_tell_the_order(options):
    documents = corpus(900)
    assert told_by_the_ends(packed(documents, **options), documents) < 0.55
    assert told_by_the_ends(packed(documents, **options, torn=True), documents) > 0.65


def test_torn_run_within_the_first_sentence():
    """A run that begins within the very first sentence is torn."""
    documents = [[np.arange(150), np.arange(150, 170), np.arange(170, 190)]]
    asked = 0
    for key in range(200):
        for a, b, label in pairs(packed(documents, key=(key,), length=64)):
            tokens = np.concatenate([a, b])
            if 0 < tokens.min() < 150 and tokens.max() + 1 in (150, 170, 190):
                assert label == IGNORE
                asked += 1
    assert asked > 5


def test_labels_are_balanced_and_cuts_are_anywhere():
    found = [p for p in pairs(packed(corpus(2000))) if p[2] != IGNORE]
    labels = np.array([label for *_, label in found])
    assert labels.mean() == pytest.approx(0.5, abs=0.005)
    assert (labels[1:] == labels[:-1]).mean() == pytest.approx(
        0.5, abs=0.05
    )  # and none tells the next
    share = [len(a) / (len(a) + len(b)) for a, b, _ in found]
    assert np.mean(share) == pytest.approx(0.5, abs=0.03)
    assert np.std(share) > 0.15


def test_order_is_read_at_every_cls_and_nowhere_else():
    rows = packed(corpus())
    assert (rows.order[rows.input_ids != FRAME.cls] == IGNORE).all()
    assert ((rows.positions == 0) & (rows.pair > 0)).sum() == (rows.input_ids == FRAME.cls).sum()


def test_a_shorter_pair_gives_more_pairs():
    documents = corpus()
    assert len(pairs(packed(documents, pair=30))) > 1.3 * len(pairs(packed(documents)))


def test_a_sentence_longer_than_a_row_goes_on_in_the_next():
    rows = packed([[np.arange(300)]], length=64)
    assert sorted(rows.input_ids[rows.input_ids >= 0].tolist()) == list(range(300))
    assert (rows.pair[:-1] > 0).all()
    (first, _, begins), *_, (last, _, ends) = pairs(rows)
    assert (first[0], last[-1]) == (0, 299)
    assert begins == ends == IGNORE  # torn at one end; those between are torn at both


def test_published_lone_sentence_gets_another_document():
    """The published single sentence is followed by another document."""
    documents = [[np.arange(1000 * d, 1000 * d + 30)] for d in range(50)]
    first, *found = pairs(packed(documents, length=64, single="other", torn=True))
    assert first[2] == IGNORE  # nothing has been read before it
    assert len(found) >= 49
    for a, b, label in found:
        assert label == 1
        assert a[0] // 1000 != b[0] // 1000


def test_published_long_pairs_shorten_the_longer_side():
    """Published pairs that are too long lose tokens of the longer side."""
    documents = [[np.arange(1000 * d, 1000 * d + 183)] for d in range(20)]
    found = [
        p
        for p in pairs(packed(documents, length=64, short=0.0, single="other", torn=True))
        if p[2] == 1
    ]
    assert len(found) == 3 * 19
    assert {tuple(sorted((len(a), len(b)))) for a, b, _ in found} == {(30, 31)}


def test_equal_keys_give_equal_rows_and_others_do_not():
    documents = corpus()
    one, again, other = (packed(documents, key=key).input_ids for key in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_empty_sentences_and_documents_are_passed_over():
    empty = np.arange(0)
    rows = packed([[], [empty], [np.arange(5), empty, np.arange(5, 9)]], length=16, short=0.0)
    assert rows.input_ids[rows.input_ids >= 0].size == 9
    assert packed([[], [empty]]).input_ids.shape == (0, 128)
