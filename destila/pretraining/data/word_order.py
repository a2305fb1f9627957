"""Rows whose words stand in a random order: what a model that reads word order is told apart by.

A pre-training that sits on the plateau of word frequencies predicts a masked word equally well from
the words around it in any order. `shuffled` makes the second reading; `pretraining/heldout.py`
compares the two.
"""

from __future__ import annotations

import numpy as np

from destila.tokenizer.word_marks import WordMarks, word_starts

READS_ORDER = 0.1
"""Nats by which the loss of a model that reads word order rises at least in a random order."""


def shuffled(
    ids: np.ndarray, pair: np.ndarray, fixed: np.ndarray, marks: WordMarks, *, seed: int
) -> np.ndarray:
    """Put the words of every pair into a random order, pieces of a word still in a row.

    Special tokens and pads stay where they are, as fixed tokens do; the words flow around them, so
    one may be cut by what stays. `[CLS] la ni ##ña MASK bien [SEP]` may become
    `[CLS] ni ##ña bien MASK la [SEP]`. Equal seeds give equal rows.

    Args:
        ids: i32 [R, L], tokens.
        pair: i32 [R, L], the number of the token's pair in its row, 0 for padding.
        fixed: bool [R, L], tokens that stay where they are.
        marks: `read_word_marks(tokenizer)`.
        seed: of the order.
    """
    # Tokens that move, and the words they make up; a word is cut by what stays, and by a new pair.
    moves = (pair > 0) & ~fixed & ~marks.special[ids]  # bool [R, L]
    starts = word_starts(ids, marks)
    starts[:, 1:] |= ~moves[:, :-1]
    starts |= np.diff(pair, axis=1, prepend=0) != 0
    places = np.flatnonzero(moves)  # [M] of all R x L
    word = np.cumsum(starts.ravel()[places]) - 1  # [M], number of the word, over all rows

    # Sort words by pair and then by lot; the sort is stable, so pieces of a word keep their order.
    pairs_of_a_row = int(pair.max(initial=0)) + 1
    group = (places // ids.shape[1]) * pairs_of_a_row + pair.ravel()[places]
    lot = np.random.default_rng(seed).permutation(int(word[-1]) + 1 if len(word) else 0)
    source = places[np.lexsort((lot[word], group))]

    rows: np.ndarray = ids.ravel().copy()
    rows[places] = ids.ravel()[source]
    return rows.reshape(ids.shape)
