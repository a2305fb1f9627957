"""Corruption of tokens for masked language modelling: whole words and n-grams of words, new at every reading.

    words       candidates are whole words, in order; a span is 1 to `ngram` words in a row, P(n) ~ 1/n (Lan et al. 2020,
                after Joshi et al. 2020); no span crosses a special token
    spans       starts come in shuffled order; where n words are more tokens than the row has left to choose, or the
                text ends, fewer are taken; a span that still does not fit or meets a chosen one is skipped, so that in
                short rows long words are chosen a little less often than short ones
    budget      rate x tokens of the row without specials, rounded up or down at random so that its mean is exact; the
                published code stops at 20 tokens per row (trap T4 of the fact sheet), which is `cap`
    tokens      of the chosen 80 % give way to the mask, 10 % to an ordinary piece, 10 % stay (Devlin et al. 2019)
    smoothing   single tokens instead, drawn over the whole batch without replacement, each with the weight of its
                piece, count^-smoothing: rare pieces come more often (DistilBERT's code, and DistilBETO's with 0.7). As
                there, the rate is of all real tokens, specials too, which are never drawn themselves

Every draw is a hash of (seed, epoch, row, place), so a row is corrupted alike in whatever batch it comes, but for
smoothing. All rows of a batch take their spans at once, the t-th start of each in one stroke of numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import model_validator

from destila.config import Options, opt
from destila.tokenizer.word_marks import WordMarks, WordRule, word_starts

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SPANS, _TOKENS, _BUDGET = (
    np.array([stream << 32], np.uint64) for stream in range(3)
)  # arrays wrap around in silence


class Masking(Options):
    """How tokens are chosen and what becomes of them."""

    rate: float = opt(0.15, "share of tokens that is chosen", gt=0, le=0.5)
    ngram: int = opt(
        3, "longest span, in words; n words are drawn with a probability of 1/n", ge=1, le=8
    )
    cap: int | None = opt(
        None, "most tokens chosen in a row (ALBERT: 20); none = the rate alone decides", ge=1
    )
    words: WordRule = opt(
        "whole", "what is masked together: whole words, words as ALBERT cuts them, or each piece"
    )
    mask: float = opt(0.8, "share of the chosen that gives way to the mask", ge=0, le=1)
    random: float = opt(
        0.1, "share of the chosen that gives way to a random piece; the rest stays", ge=0, le=1
    )

    smoothing: float = opt(
        0.0,
        "above 0: tokens are drawn with a weight of count^-smoothing (DistilBETO: 0.7)",
        ge=0,
        le=2,
    )

    @model_validator(mode="after")
    def _agrees(self) -> Masking:
        if self.mask + self.random > 1:
            raise ValueError(
                f"mask {self.mask} and random {self.random} are more than 1 together: lower one"
            )
        if self.smoothing and (self.words != "piece" or self.ngram != 1 or self.cap is not None):
            raise ValueError(
                "smoothing draws single tokens over the batch: set words = 'piece', ngram = 1 and no cap"
            )
        return self


@dataclass(frozen=True, slots=True)
class Corruption:
    """Corrupted rows. input_ids [R, L], like the rows; chosen: bool [R, L], the tokens to predict.

    sampled, realised: i64 [ngram], spans by their number of words, as drawn and as taken in the end; the same with
    smoothing.
    """

    input_ids: np.ndarray
    chosen: np.ndarray
    sampled: np.ndarray
    realised: np.ndarray


def corrupt(
    ids: np.ndarray,
    rows: np.ndarray,
    marks: WordMarks,
    options: Masking,
    *,
    seed: int,
    epoch: int | np.ndarray,
    weights: np.ndarray | None = None,
    real: int | None = None,
) -> Corruption:
    """Rows of tokens ids [R, L] with some of them chosen and corrupted.

    rows: i64 [R], the number that names each row in its corpus. epoch: one, or each row's, i64 [R]. marks:
    `read_word_marks(tokenizer, options.words)`. weights, real: with smoothing, `piece_weights` and how many tokens of the
    batch are no padding. Special tokens, pads and words with an unknown part are never chosen; without smoothing they
    are not counted by the rate either.
    """
    keys = _keys(seed, epoch, rows)
    if options.smoothing:
        assert weights is not None
        assert real is not None
        chosen = _drawn(ids, keys, weights, int(np.ceil(options.rate * real)))
        single = np.array([chosen.sum()])
        return Corruption(_replaced(ids, chosen, keys, marks, options), chosen, single, single)
    words = _words(ids, marks, options.ngram)
    taken, sampled, realised = _spans(words, _budgets(words, keys, options), keys, options.ngram)
    change = np.zeros(ids.size + 1, np.int8)
    change[words.start[taken]] += 1
    change[words.start[taken] + words.sizes[taken, 0]] -= 1
    chosen = np.cumsum(change[:-1], dtype=np.int8).view(bool).reshape(ids.shape)
    return Corruption(_replaced(ids, chosen, keys, marks, options), chosen, sampled, realised)


def piece_weights(counts: np.ndarray, marks: WordMarks, smoothing: float) -> np.ndarray:
    """The weight of each piece, f64 [V]: max(count, 1)^-smoothing, and 0 for special tokens and the unknown one."""
    weights: np.ndarray = np.maximum(counts, 1).astype(np.float64) ** -smoothing
    weights[marks.special] = weights[marks.unk_id] = 0
    return weights


def _drawn(ids: np.ndarray, keys: np.ndarray, weights: np.ndarray, wanted: int) -> np.ndarray:
    """`wanted` tokens by their weights without replacement, or all that have one, bool [R, L].

    A race of exponential times, each with its weight as rate: the first to arrive are what drawing one after the other
    would give (Efraimidis and Spirakis 2006).
    """
    weight = weights[ids].ravel()
    draws = _draw(keys[:, None], _SPANS + np.arange(ids.shape[1], dtype=np.uint64)).ravel()
    able = np.flatnonzero(weight)
    times = -np.log1p(-_uniform(draws[able])) / weight[able]
    wanted = min(wanted, len(able))
    chosen = np.zeros(ids.size, bool)
    chosen[able[np.argpartition(times, wanted - 1)[:wanted]] if wanted else able[:0]] = True
    return chosen.reshape(ids.shape)


@dataclass(frozen=True, slots=True)
class _Words:
    """The W words of R rows. row, start: i64 [W], the row and the place among all R x L tokens.

    sizes, counts: i64 [W, N], tokens and words of the span of 1..N words that starts here, or as many as there are.
    """

    row: np.ndarray
    start: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    rows: int
    length: int


def _words(ids: np.ndarray, marks: WordMarks, ngram: int) -> _Words:
    starts = word_starts(ids, marks)
    edges = np.flatnonzero(
        starts | marks.special[ids]
    )  # a row's first token is one, so no word reaches the next row
    ends = np.append(edges[1:], ids.size)
    is_word = starts.ravel()[edges]
    unknown = np.flatnonzero(ids == marks.unk_id)
    is_word[np.searchsorted(edges, unknown, side="right") - 1] = False
    start, end = edges[is_word], ends[is_word]
    row = start // ids.shape[1]
    joined = np.append((start[1:] == end[:-1]) & (row[1:] == row[:-1]), False)[: len(start)]
    reach, count = [end], [np.ones(len(start), np.int64)]
    for _ in range(1, ngram):
        reach.append(np.where(joined, np.roll(reach[-1], -1), end))
        count.append(np.where(joined, np.roll(count[-1], -1) + 1, 1))
    sizes = np.stack(reach, axis=1) - start[:, None]
    return _Words(row, start, sizes, np.stack(count, axis=1), *ids.shape)


def _budgets(words: _Words, keys: np.ndarray, options: Masking) -> np.ndarray:
    """Tokens to choose in every row, i64 [R]; their mean over rows is the rate."""
    tokens = np.bincount(words.row, weights=words.sizes[:, 0], minlength=words.rows)
    budget: np.ndarray = np.floor(options.rate * tokens + _uniform(_draw(keys, _BUDGET))).astype(
        np.int64
    )
    return budget if options.cap is None else np.minimum(budget, options.cap)


def _spans(
    words: _Words, left: np.ndarray, keys: np.ndarray, ngram: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The words taken, bool [W]; how many spans of each length were drawn and taken, i64 [N] each."""
    draws = _draw(keys[words.row], _SPANS + (words.start % words.length).astype(np.uint64))
    order = np.argsort((words.row.astype(np.uint64) << np.uint64(40)) | (draws >> np.uint64(24)))
    weights = 1 / np.arange(1, ngram + 1)
    low = (draws & np.uint64(0xFFFFFF)) * 2.0**-24  # bits that the order does not use
    wanted = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], low, side="right") + 1
    size = np.bincount(words.row, minlength=words.rows)
    first = np.cumsum(size) - size
    taken = np.zeros(len(order) + ngram, bool)
    sampled, realised = np.zeros(ngram + 1, np.int64), np.zeros(ngram + 1, np.int64)
    steps = np.arange(ngram)
    live, turn = np.flatnonzero((left > 0) & (size > 0)), 0
    while len(live):
        at = order[first[live] + turn]
        n = wanted[at]
        sampled += np.bincount(n, minlength=ngram + 1)
        fitting = ((words.sizes[at] <= left[live, None]) & (steps < n[:, None])).sum(
            axis=1
        )  # sizes grow with n
        fits = fitting > 0
        at, last, of = at[fits], fitting[fits] - 1, live[fits]
        inside = steps < words.counts[at, last][:, None]
        members = at[:, None] + steps
        free = ~(taken[members] & inside).any(axis=1)
        taken[members[free][inside[free]]] = True
        left[of[free]] -= words.sizes[at[free], last[free]]
        realised += np.bincount(words.counts[at[free], last[free]], minlength=ngram + 1)
        turn += 1
        live = live[(left[live] > 0) & (size[live] > turn)]
    return taken[: len(order)], sampled[1:], realised[1:]


def _replaced(
    ids: np.ndarray, chosen: np.ndarray, keys: np.ndarray, marks: WordMarks, options: Masking
) -> np.ndarray:
    at = np.flatnonzero(chosen)
    row, place = np.divmod(at, ids.shape[1])
    draws = _draw(keys[row], _TOKENS + place.astype(np.uint64))
    lot = (draws >> np.uint64(32)) * 2.0**-32
    piece = marks.ordinary[
        ((draws & np.uint64(0xFFFFFFFF)) * np.uint64(len(marks.ordinary))) >> np.uint64(32)
    ]
    made = ids.ravel().copy()
    was = made[at]
    made[at] = np.where(
        lot < options.mask, marks.mask_id, np.where(lot < options.mask + options.random, piece, was)
    )
    return made.reshape(ids.shape)


def _keys(seed: int, epoch: int | np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One key per row, u64 [R]."""
    key = np.zeros(1, np.uint64)
    for part in (np.array([seed]), np.atleast_1d(epoch), rows):
        key = hashed(key + (part.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return key


def _draw(keys: np.ndarray, place: np.ndarray) -> np.ndarray:
    """64 random bits per key and place: the place-th number of SplitMix64 (Steele et al. 2014) begun at the key."""
    return hashed(keys + (place + np.uint64(1)) * _GOLDEN)


def hashed(z: np.ndarray) -> np.ndarray:
    """Each of the numbers u64 [N] as 64 bits that look random: the last step of SplitMix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _uniform(draws: np.ndarray) -> np.ndarray:
    return (draws >> np.uint64(11)) * 2.0**-53
