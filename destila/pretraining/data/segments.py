"""A corpus cut into segments, the unit in which pre-training draws its text.

A document may be a line or a book of 200,000 tokens. Drawn whole, a book would fill thousands of
rows in a row; so documents are cut, between sentences, into segments of about the same size, and
every epoch is a permutation of those. Cuts are found by looking up where sentences start, so that
the work grows with the segments, not with the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from destila.corpus.chunks import consecutive, offsets
from destila.corpus.shards import Shards
from destila.errors import DataError
from destila.pretraining.data.masking import hashed
from destila.pretraining.data.packing import Text

_COUNTED = 1 << 22  # tokens counted at once
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Segments:
    """N segments of a corpus, in its order: sentences first to last (exclusive) of a shard.

    shard, first, last, tokens: i64 [N]; first and last count the sentences of the shard.
    """

    shard: np.ndarray
    first: np.ndarray
    last: np.ndarray
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, which: np.ndarray) -> Segments:
        """Return some of them, by bool [N] or by numbers."""
        return Segments(self.shard[which], self.first[which], self.last[which], self.tokens[which])

    def facts(self, which: np.ndarray) -> np.ndarray:
        """Return shard, first, last and tokens of some of them, i64 [K, 4]."""
        values = (self.shard, self.first, self.last, self.tokens)
        return np.stack([value[which] for value in values], axis=1)


def cut_segments(corpus: Shards, size: int) -> Segments:
    """Cut a corpus into segments of about `size` tokens; a smaller document is one of its own.

    Raises:
        DataError: the corpus has no token.
    """
    parts = []
    for number, (documents, sentences, _) in enumerate(corpus.arrays):
        edges = _edges(np.asarray(documents), sentences, size)  # [n + 1] sentences
        shard = np.full(len(edges) - 1, number, np.int32)
        parts.append(Segments(shard, edges[:-1], edges[1:], np.diff(sentences[edges])))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)])

    segments = Segments(joined("shard"), joined("first"), joined("last"), joined("tokens"))
    segments = segments[segments.tokens > 0]
    if not len(segments):
        raise DataError(f"{corpus.folder} holds no text: make the corpus again from files that do")
    return segments


def read_segments(
    corpora: Sequence[Shards], segments: Sequence[Segments], drawn: np.ndarray
) -> Text:
    """Read segments, each as a document; what is read from one shard is read at once.

    Args:
        corpora: of the segments.
        segments: of each corpus.
        drawn: i64 [D, 2], corpus and number of each segment.
    """
    # What is known of each segment, [D].
    facts = np.empty((len(drawn), 4), np.int64)
    for corpus, each in enumerate(segments):
        here = drawn[:, 0] == corpus
        facts[here] = each.facts(drawn[here, 1])
    shard, first, last, size = facts.T
    counts = last - first  # sentences

    # Where each segment goes among all tokens and all sentences that are read.
    place, sentence = offsets(size), offsets(counts)
    tokens = np.empty(place[-1], np.int32)  # [T]
    sentences = np.empty(sentence[-1], np.int64)  # [S]

    # By corpus and shard.
    source = np.stack([drawn[:, 0], shard], axis=1)
    for corpus, number in np.unique(source, axis=0):
        here = np.flatnonzero((source == (corpus, number)).all(1))
        _, edges, values = corpora[corpus].arrays[number]
        own = consecutive(first[here], counts[here])
        sentences[consecutive(sentence[here], counts[here])] = edges[own + 1] - edges[own]
        begins = edges[first[here]].astype(np.int64)
        tokens[consecutive(place[here], size[here])] = values[consecutive(begins, size[here])]
    return Text(tokens, sentences, counts)


def count_corpus_pieces(corpora: Sequence[Shards], size: int) -> np.ndarray:
    """Count how often each of `size` pieces occurs, i64 [V]."""
    counts = np.zeros(size, np.int64)
    for corpus in corpora:
        for _, _, tokens in corpus.arrays:
            # A shard is mapped from disk: a part at a time is in memory.
            for start in range(0, len(tokens), _COUNTED):
                counts += np.bincount(tokens[start : start + _COUNTED], minlength=size)
    return counts


def is_held_out(segments: Segments, share: float) -> np.ndarray:
    """Choose the segments that are kept from training, bool [N].

    They are a share of all by a hash of their place in the corpus, which depends on no seed, so
    that runs can be compared, and hardly changes when a corpus grows. A share above 0 holds out at
    least one of several segments, and never all.
    """
    place = segments.shard.astype(np.uint64) * _MIX + segments.first.astype(np.uint64)
    lot = hashed((place + np.uint64(1)) * _MIX)  # u64 [N]
    held: np.ndarray = lot < share * 2.0**64

    # At least one, but never all.
    if share and len(held) > 1:
        held[np.argmin(lot)] = True
    held[np.argmax(lot)] = False
    return held


def _edges(documents: np.ndarray, sentences: np.ndarray, size: int) -> np.ndarray:
    """Find the sentences at which a segment starts, and the end of the last one, i64 [N + 1].

    A document of 2,500 tokens and segments of 1,000 make three segments of about 833 tokens: the
    document is cut at the sentences that start next behind its tokens 833 and 1,666.

    Args:
        documents: i64 [D + 1], the sentence at which each document starts.
        sentences: i64 [S + 1], the token at which each sentence starts.
        size: tokens of a segment.
    """
    # Parts of equal size, so that no document ends in a stump.
    starts = sentences[documents].astype(np.int64)  # [D + 1], in tokens
    tokens = np.diff(starts)
    parts = np.maximum(1, (tokens + size // 2) // size)  # [D]

    # One cut fewer than parts: the document of each cut, and its number in it from 1.
    cuts = parts - 1
    document = np.repeat(np.arange(len(tokens)), cuts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(cuts) - cuts, cuts) + 1

    # Where the cuts should be, in tokens, and the sentences that start there or next.
    wanted = starts[document] + number * tokens[document] // parts[document]
    return np.unique(np.concatenate([documents, np.searchsorted(sentences, wanted)]))
