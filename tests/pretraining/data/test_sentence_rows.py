"""Lines of one sentence: what is cut, what is left out, and batches of one bin of lengths."""

from __future__ import annotations

import numpy as np

from destila.pretraining.data.packing import FrameIds
from destila.pretraining.data.sentence_rows import Lines, order_lines, split_lines
from destila.types import IGNORE

UNKNOWN = 1000
FRAME = FrameIds(cls=-2, sep=-3, pad=-1)


def found(sentences: list[list[int]], length: int = 40) -> Lines:
    tokens = np.array([t for s in sentences for t in s], np.int32)
    return split_lines(tokens, np.array(list(map(len, sentences))), length, unk_id=UNKNOWN)


def texts(made: Lines) -> list[list[int]]:
    return [made.tokens[a : a + n].tolist() for a, n in zip(made.starts, made.sizes, strict=True)]


def test_lines_of_eleven_tokens_with_their_frame_are_left_out():
    assert texts(found([list(range(9)), list(range(10)), []])) == [list(range(10))]


def test_half_unknown_lines_are_left_out():
    bare, mixed = [UNKNOWN] * 10 + [5] * 8, [UNKNOWN] * 9 + [5] * 9
    assert texts(found([bare, mixed])) == [mixed]


def test_long_lines_are_cut_and_a_short_rest_is_left_out():
    line = list(range(100))
    assert texts(found([line, line[:81]])) == [
        line[:38],
        line[38:76],
        line[76:],
        line[:38],
        line[38:76],
    ]


def test_rows_are_framed_and_padded_to_the_longest():
    rows = found([list(range(10)), list(range(20, 32))]).rows(np.array([1, 0]), FRAME)
    assert rows.input_ids.tolist() == [[-2, *range(20, 32), -3], [-2, *range(10), -3, -1, -1]]
    assert rows.pair.tolist() == [[1] * 14, [1] * 12 + [0, 0]]
    assert rows.positions.tolist() == [list(range(14)), [*range(12), 0, 0]]
    assert (rows.type_ids == 0).all()
    assert (rows.order == IGNORE).all()


def test_groups_hold_every_line_once():
    """Groups hold every line once and are of neighbouring bins."""
    random = np.random.default_rng(0)
    made = found([[7] * n for n in random.integers(10, 38, 500)])
    numbers = order_lines(made, 16, 5, np.random.default_rng(1))
    assert sorted(numbers.tolist()) == list(range(len(made.sizes)))
    groups = numbers[5 : 5 + 30 * 16].reshape(30, 16)
    bins = (made.sizes[groups] + 2 - 3) // 4
    assert (np.ptp(bins, axis=1) <= 1).all()
    assert (np.ptp(bins, axis=1) == 0).sum() > 20  # few groups stand on a border
    assert bins[:, 0].tolist() != sorted(bins[:, 0].tolist())


def test_few_lines_make_no_group():
    assert order_lines(found([[1, 2]]), 4, 0, np.random.default_rng(0)).tolist() == []
    assert sorted(order_lines(found([[7] * 10] * 3), 4, 2, np.random.default_rng(0)).tolist()) == [
        0,
        1,
        2,
    ]
