"""Rows whose words stand in a random order: what a model that reads word order is told apart by.

A pre-training that sits on the plateau of word frequencies predicts a masked word equally well from the words around
it in any order. `shuffled` makes the second reading; `pretraining/heldout.py` compares the two.
"""

from __future__ import annotations

import numpy as np

from destila.tokenizer.word_marks import WordMarks, word_starts

READS_ORDER = 0.1
"""Nats by which the loss of a model that reads word order rises at least when the order is random."""


def shuffled(
    ids: np.ndarray, pair: np.ndarray, fixed: np.ndarray, marks: WordMarks, *, seed: int
) -> np.ndarray:
    """The rows ids [R, L] with the words of every pair in a random order, pieces of a word still in a row.

    pair: i [R, L], the number of the token's pair in its row, 0 for padding. fixed: bool [R, L], tokens that stay where
    they are, as special tokens and pads do too; the words flow around them, so one may be cut by what stays.
    marks: `read_word_marks(tokenizer)`. Equal seeds give equal rows.
    """
    moves = (pair > 0) & ~fixed & ~marks.special[ids]
    starts = word_starts(ids, marks)
    starts[:, 1:] |= ~moves[
        :, :-1
    ]  # what follows a token that stays is moved apart from what stands before it
    starts |= np.diff(pair, axis=1, prepend=0) != 0
    places = np.flatnonzero(moves)
    word = np.cumsum(starts.ravel()[places]) - 1  # number of the word, over all rows
    group = (places // ids.shape[1]) * (int(pair.max(initial=0)) + 1) + pair.ravel()[places]
    lot = np.random.default_rng(seed).permutation(int(word[-1]) + 1 if len(word) else 0)
    taken = places[np.lexsort((lot[word], group))]  # stable: pieces of a word keep their order
    made: np.ndarray = ids.ravel().copy()
    made[places] = ids.ravel()[taken]
    return made.reshape(ids.shape)
