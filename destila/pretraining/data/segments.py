"""A corpus cut into stretches, the unit in which pre-training draws its text.

A document may be a line or a book of 200,000 tokens. Drawn whole, a book would fill thousands of rows in a row; so
documents are cut, between sentences, into stretches of about the same size, and every epoch is a permutation of those.
Cuts are found by looking up where sentences start, so that the work grows with the stretches, not with the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from destila.corpus.shards import Shards
from destila.errors import DataError
from destila.pretraining.data.masking import hashed

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Segments:
    """N stretches of a corpus, in its order: sentences first to last (exclusive) of a shard.

    shard i32 [N]; first, last i64 [N], sentences of the shard; tokens i64 [N].
    """

    shard: np.ndarray
    first: np.ndarray
    last: np.ndarray
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, which: np.ndarray) -> Segments:
        """Some of them, by bool [N] or numbers."""
        return Segments(self.shard[which], self.first[which], self.last[which], self.tokens[which])


def cut_segments(corpus: Shards, size: int) -> Segments:
    """The stretches of a corpus, each of about `size` tokens, or a whole document that is smaller.

    Raises DataError for a corpus without a token.
    """
    found = []
    for number, (documents, sentences, _) in enumerate(corpus.arrays):
        edges = _edges(np.asarray(documents), sentences, size)
        bounds = sentences[edges]
        found.append(
            Segments(
                np.full(len(edges) - 1, number, np.int32), edges[:-1], edges[1:], np.diff(bounds)
            )
        )
    parts = (
        [getattr(part, name) for part in found] for name in ("shard", "first", "last", "tokens")
    )
    stretches = Segments(
        *(np.concatenate(part) if part else np.zeros(0, np.int64) for part in parts)
    )
    stretches = stretches[stretches.tokens > 0]
    if not len(stretches):
        raise DataError(f"{corpus.folder} holds no text: make the corpus again from files that do")
    return stretches


def read_segment(corpus: Shards, stretches: Segments, at: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens u16|u32 [T] of a stretch and the sizes i64 [S] of its sentences."""
    _, sentences, tokens = corpus.arrays[int(stretches.shard[at])]
    bounds = sentences[stretches.first[at] : stretches.last[at] + 1]
    return tokens[bounds[0] : bounds[-1]], np.diff(bounds)


def is_held_out(stretches: Segments, share: float) -> np.ndarray:
    """Which stretches are kept from training, bool [N]: a share of them by a hash of their place in the corpus.

    It depends on no seed, so that runs can be compared, and hardly changes when a corpus grows. A share above 0 holds
    out at least one of several stretches, and never all.
    """
    place = (
        stretches.shard.astype(np.uint64) * _MIX + stretches.first.astype(np.uint64) + np.uint64(1)
    )
    lot = hashed(place * _MIX)
    held: np.ndarray = lot < share * 2.0**64
    if share and len(held) > 1:
        held[np.argmin(lot)] = True
    held[np.argmax(lot)] = False
    return held


def _edges(documents: np.ndarray, sentences: np.ndarray, size: int) -> np.ndarray:
    """Sentences at which a stretch starts, and the end of the last, i64 [N + 1]."""
    starts = sentences[documents].astype(np.int64)
    tokens = np.diff(starts)
    pieces = np.maximum(
        1, (tokens + size // 2) // size
    )  # of equal size, so that no document ends in a stump
    document = np.repeat(np.arange(len(tokens)), pieces - 1)
    number = (
        np.arange(len(document)) - np.repeat(np.cumsum(pieces - 1) - (pieces - 1), pieces - 1) + 1
    )
    wanted = starts[document] + number * tokens[document] // pieces[document]
    return np.unique(np.concatenate([documents, np.searchsorted(sentences, wanted)]))
