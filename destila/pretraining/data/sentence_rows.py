"""Rows of one sentence each, in batches of nearly equal lengths, as DistilBERT's code makes them (and DistilBETO's).

    [CLS] sentence [SEP]

A sentence longer than a row is cut into several; rows of at most 11 tokens, and those of which half or more is unknown,
are left out (both counted with the frame, as published). Rows that are computed together are neighbours in length, by
bins of 3 to 6 tokens, 7 to 10 and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from destila.corpus.chunks import offsets
from destila.pretraining.data.packing import FrameIds, PackedRows
from destila.types import IGNORE

_FRAME = 2  # special tokens of a row
SHORTEST_SENTENCE_ROW = 12
"""Tokens of a row at least."""

_FIRST_EDGE, _BIN = 3, 4


@dataclass(frozen=True, slots=True)
class Lines:
    """N lines of a text tokens i32 [T]: where each starts, and its tokens, i64 [N]."""

    tokens: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def rows(self, which: np.ndarray, frame: FrameIds) -> PackedRows:
        """Some of them, by numbers [R], as rows padded to the longest."""
        starts, sizes = self.starts[which, None], self.sizes[which, None]
        place = np.arange(int(sizes.max(initial=0)) + _FRAME)
        real, text = place < sizes + _FRAME, (place > 0) & (place <= sizes)
        ids = np.where(real, np.where(place > 0, frame.sep, frame.cls), frame.pad).astype(np.int32)
        ids[text] = self.tokens[(starts + place - 1)[text]]
        zeros = np.zeros(ids.shape, np.int32)
        positions = np.where(real, place, 0).astype(np.int32)
        return PackedRows(
            ids, zeros, positions, real.astype(np.int32), np.full(ids.shape, IGNORE, np.int32)
        )


def split_lines(tokens: np.ndarray, sizes: np.ndarray, length: int, *, unk_id: int) -> Lines:
    """The lines of sentences whose sizes i64 [S] are given, in order, each at most `length` with its frame."""
    longest = length - _FRAME
    pieces = -(-sizes // longest)
    sentence = np.repeat(np.arange(len(sizes)), pieces)
    within = (np.arange(len(sentence)) - np.repeat(offsets(pieces)[:-1], pieces)) * longest
    starts = offsets(sizes)[sentence] + within
    own = np.minimum(longest, sizes[sentence] - within)
    unknown = offsets(tokens == unk_id)
    kept = (own + _FRAME >= SHORTEST_SENTENCE_ROW) & (
        2 * (unknown[starts + own] - unknown[starts]) < own + _FRAME
    )
    return Lines(tokens, starts[kept], own[kept])


def order_lines(
    found: Lines, together: int, before: int, random: np.random.Generator
) -> np.ndarray:
    """The numbers of all lines, i64 [N]: groups of `together` that are nearly equally long, in a random order.

    before: lines that complete a group of other lines, and go before the whole groups; what is left goes behind them.
    Those two are of any length.
    """
    order = random.permutation(len(found.sizes))
    first, last = order[:before], order[before:]
    whole = len(last) // together * together
    inner = last[:whole]
    bins = (found.sizes[inner] + _FRAME - _FIRST_EDGE) // _BIN
    groups = inner[np.argsort(bins, kind="stable")].reshape(-1, together)
    return np.concatenate(
        [first, groups[random.permutation(len(groups))].reshape(-1), last[whole:]]
    )
