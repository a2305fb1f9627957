"""Token embeddings to start from: CBOW vectors of a corpus's own pieces, by gensim.

A piece is predicted from the mean of those around it (Mikolov et al. 2013), which needs minutes
where a masked language model needs hours to learn as much about single pieces. Order plays no part
in it, so it shortens the way to the plateau of word frequencies and not the way out of it;
`models/positions.py` does that.
Text that is held out for evaluation is read too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from destila.config import Options, opt
from destila.corpus.shards import Shards
from destila.errors import DataError, require

log = logging.getLogger(__name__)

_JOBS = 20  # parts of work per thread at least; gensim complains below 10
_LONGEST = 10_000  # tokens after which gensim cuts a sentence off, without a word


class Cbow(Options):
    """How the vectors are learnt."""

    tokens: int = opt(
        20_000_000, "tokens read at most, a random share of the sentences of every corpus", ge=1
    )
    epochs: int = opt(3, "times they are read", ge=1)
    window: int = opt(5, "pieces on either side that a piece is predicted from", ge=1)
    negative: int = opt(10, "wrong pieces per right one", ge=1)
    least: int = opt(
        5, "times that a piece must occur to be learnt; a rarer one keeps its random values", ge=1
    )
    workers: int = opt(1, "threads; with more than 1 no two results are the same", ge=1)


def vectors(
    corpora: Sequence[Shards], initial: np.ndarray, options: Cbow, *, seed: int
) -> np.ndarray:
    """Learn the vectors of the pieces of some corpora, as a token table f32 [V, E].

    With one worker, equal arguments give equal tables.

    Args:
        corpora: text as tokens of one tokenizer.
        initial: f32 [V, E], random values; what the corpora hold too rarely or never (special
            tokens too) keeps them, and the learnt rows together get their standard deviation.
        options: how the vectors are learnt.
        seed: of the sentences that are read, and of gensim.

    Raises:
        DataError: nothing is left to learn, or a piece is outside the table.
        MissingExtraError: gensim is not installed.
    """
    word2vec = require("gensim.models.word2vec", "pretrain")

    # Count first: only pieces that occur often enough are learnt.
    reading = _sample_text(corpora, options.tokens, seed)
    counts = reading.counts(len(initial))  # i64 [V]
    kept = np.flatnonzero(counts >= options.least)
    tokens = int(counts.sum())
    if not len(kept):
        raise DataError(
            f"no piece of the {tokens} tokens read occurs {options.least} times: "
            "lower least, or give a larger corpus"
        )
    if options.workers > 1:
        log.warning(
            "CBOW with %d workers: the vectors differ a little from run to run", options.workers
        )

    model = word2vec.Word2Vec(
        vector_size=initial.shape[1],
        window=options.window,
        negative=options.negative,
        min_count=options.least,
        workers=options.workers,
        seed=seed + 1,  # gensim's 0 is no seed
        sg=0,
        batch_words=max(1, min(10_000, tokens // (_JOBS * options.workers))),
    )
    model.build_vocab_from_freq({int(i): int(counts[i]) for i in kept})
    model.train(reading, total_words=tokens, epochs=options.epochs)

    # The encoder was made for values of the initial spread.
    learnt = np.asarray(model.wv.vectors, np.float32)  # [K, E]
    scale = float(initial.std()) / max(float(learnt.std()), 1e-12)
    table = initial.astype(np.float32)
    table[model.wv.index_to_key] = learnt * scale
    return table


@dataclass(frozen=True, slots=True)
class _TextSample:
    """Sentences as lists of ids, the same ones at every reading.

    order: i64 [D, 2], corpus and document. share: of the sentences that are read.
    """

    corpora: Sequence[Shards]
    order: np.ndarray
    share: float
    seed: int

    def __iter__(self) -> Iterator[list[int]]:
        for tokens, bounds, kept in self._documents():
            ids = tokens.tolist()
            for i in np.flatnonzero(kept).tolist():
                yield from _chunks(ids[bounds[i] : bounds[i + 1]])

    def counts(self, size: int) -> np.ndarray:
        """Count how often every piece is read, i64 [V]."""
        counts = np.zeros(size, np.int64)
        for tokens, bounds, kept in self._documents():
            read = tokens[np.repeat(kept, np.diff(bounds))]
            highest = int(read.max(initial=0))
            if highest >= size:
                raise DataError(
                    f"the corpus has piece {highest}, the table {size} rows: use its own tokenizer"
                )
            counts += np.bincount(read, minlength=size)
        return counts

    def _documents(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield tokens [T], bounds of sentences [S + 1] and which of them are read, bool [S]."""
        for number, (corpus, at) in enumerate(self.order.tolist()):
            document = self.corpora[corpus][at]
            random = np.random.default_rng([self.seed, number])
            kept = random.random(len(document.sentences) - 1) < self.share
            yield document.tokens, document.sentences, kept


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    """Yield a sentence in parts that gensim reads to their end."""
    for start in range(0, len(ids), _LONGEST):
        yield ids[start : start + _LONGEST]


def _sample_text(corpora: Sequence[Shards], tokens: int, seed: int) -> _TextSample:
    """Choose about `tokens` tokens of the corpora, their documents in a random order."""
    numbers = [
        np.stack([np.full(len(corpus), i), np.arange(len(corpus))], axis=1)
        for i, corpus in enumerate(corpora)
    ]
    order = np.concatenate(numbers)  # [D, 2]
    np.random.default_rng(seed).shuffle(order)

    total = 0
    for corpus in corpora:
        total += sum(shard["tokens"] for shard in corpus.manifest["shards"])
    return _TextSample(corpora, order, tokens / max(1, total), seed)
