"""Rows of one sentence each, in batches of nearly equal lengths, as DistilBERT's code makes them.

    [CLS] sentence [SEP]

DistilBETO was distilled on such rows. A sentence longer than a row is cut into several; rows of at
most 11 tokens, and those of which half or more is unknown, are left out (both counted with the
frame, as published). Rows that are computed together are neighbours in length, by bins of 3 to 6
tokens, 7 to 10 and so on.
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
    """N lines of a text.

    tokens: i32 [T], of the text. starts, sizes: i64 [N], where each line starts, and its tokens.
    """

    tokens: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def rows(self, which: np.ndarray, frame: FrameIds) -> PackedRows:
        """Set some of the lines, by numbers i64 [R], as rows padded to the longest.

        Two lines of 1 and 3 tokens, and what becomes of them with L = 5:

            place       0     1     2     3     4
            input_ids   CLS   a     SEP   pad   pad
                        CLS   b     c     d     SEP
        """
        starts, sizes = self.starts[which, None], self.sizes[which, None]  # [R, 1]
        place = np.arange(int(sizes.max(initial=0)) + _FRAME)  # [L]
        real = place < sizes + _FRAME  # [R, L], no padding
        text = (place > 0) & (place <= sizes)  # [R, L], no special token either

        # First the frame everywhere, then the text into it.
        ids = np.where(place > 0, frame.sep, frame.cls)
        ids = np.where(real, ids, frame.pad).astype(np.int32)
        ids[text] = self.tokens[(starts + place - 1)[text]]

        return PackedRows(
            input_ids=ids,
            type_ids=np.zeros(ids.shape, np.int32),
            positions=np.where(real, place, 0).astype(np.int32),
            pair=real.astype(np.int32),
            order=np.full(ids.shape, IGNORE, np.int32),
        )


def split_lines(tokens: np.ndarray, sizes: np.ndarray, length: int, *, unk_id: int) -> Lines:
    """Cut sentences into lines that fit a row, and leave out those too short or too unknown.

    Sentences of 30, 12 and 9 tokens and rows of at most 22, 20 of them text, give lines of 20, 10
    and 12 tokens; the last sentence is left out, because its row would have 11 tokens.

    Args:
        tokens: i32 [T], of the sentences one after the other.
        sizes: i64 [S], tokens of each sentence.
        length: tokens of a row at most, its frame included.
        unk_id: the unknown token.
    """
    # Cut: every sentence becomes as many lines as it needs.
    longest = length - _FRAME
    parts = -(-sizes // longest)  # [S], lines of each sentence
    sentence = np.repeat(np.arange(len(sizes)), parts)  # [N], whose line it is
    number = np.arange(len(sentence)) - np.repeat(offsets(parts)[:-1], parts)
    within = number * longest  # [N], where the line starts in its sentence
    starts = offsets(sizes)[sentence] + within
    own = np.minimum(longest, sizes[sentence] - within)  # [N], tokens of the line

    # Choose: long enough with the frame, and less than half of it unknown.
    unknown = offsets(tokens == unk_id)  # [T + 1], unknown tokens before each place
    unknown_own = unknown[starts + own] - unknown[starts]
    whole = own + _FRAME
    kept = (whole >= SHORTEST_SENTENCE_ROW) & (2 * unknown_own < whole)

    return Lines(tokens, starts[kept], own[kept])


def order_lines(
    lines: Lines, together: int, before: int, random: np.random.Generator
) -> np.ndarray:
    """Put all lines in an order in which groups of nearly equal length follow each other, i64 [N].

    Args:
        lines: the lines.
        together: lines of a group; the groups come in a random order.
        before: lines that complete a group of other lines, and go before the whole groups; what is
            left goes behind them. Those two are of any length.
        random: of the order.
    """
    order = random.permutation(len(lines.sizes))
    first, last = order[:before], order[before:]
    whole = len(last) // together * together
    inner, rest = last[:whole], last[whole:]

    # Sorted by bins, neighbours are of nearly one length; within a bin the order stays random.
    bins = (lines.sizes[inner] + _FRAME - _FIRST_EDGE) // _BIN
    groups = inner[np.argsort(bins, kind="stable")].reshape(-1, together)
    shuffled = groups[random.permutation(len(groups))].reshape(-1)

    return np.concatenate([first, shuffled, rest])
