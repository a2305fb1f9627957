"""Corruption of tokens for masked language modelling: words and n-grams, new at every reading.

    words       candidates are whole words, in order; a span is 1 to `ngram` words in a row,
                P(n) ~ 1/n (Lan et al. 2020, after Joshi et al. 2020); no span crosses a special
                token
    spans       starts come in shuffled order; where n words are more tokens than the row has left
                to choose, or the text ends, fewer are taken; a span that still does not fit or
                meets a chosen one is skipped, so that in short rows long words are chosen a little
                less often than short ones
    budget      rate x tokens of the row without specials, rounded up or down at random so that its
                mean is exact; the published code stops at 20 tokens per row (trap T4 of the fact
                sheet), which is `cap`
    tokens      of the chosen 80 % give way to the mask, 10 % to an ordinary piece, 10 % stay
                (Devlin et al. 2019)
    smoothing   single tokens instead, drawn over the whole batch without replacement, each with the
                weight of its piece, count^-smoothing: rare pieces come more often (DistilBERT's
                code, and DistilBETO's with 0.7). As there, the rate is of all real tokens, specials
                too, which are never drawn themselves

Every draw is a hash of (seed, epoch, row, place), so a row is corrupted alike in whatever batch it
comes, but for smoothing. All rows of a batch take their spans at once, the t-th start of each in
one stroke of numpy.

Sizes: R rows, L tokens of a row, W words of all rows, N = ngram, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import model_validator

from destila.config import Options, opt
from destila.tokenizer.word_marks import WordMarks, WordRule, word_starts

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# What a draw is for enters its hash. Arrays of one element, because those wrap around in silence.
_SPANS, _TOKENS, _BUDGET = (np.array([stream << 32], np.uint64) for stream in range(3))


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
        "whole",
        "what is masked together: whole words, words as ALBERT cuts them, or each piece",
        reproduction=True,
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
                "smoothing draws single tokens over the batch: "
                "set words = 'piece', ngram = 1 and no cap"
            )
        return self


@dataclass(frozen=True, slots=True)
class Corruption:
    """Corrupted rows, and what was chosen in them.

    input_ids: [R, L], like the rows.
    chosen: bool [R, L], the tokens to predict.
    sampled, realised: i64 [N], spans by their number of words, as drawn and as taken in the end;
    the same with smoothing.
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
    """Choose tokens of some rows and corrupt them.

    Special tokens, pads and words with an unknown part are never chosen; without smoothing they are
    not counted by the rate either.

    Args:
        ids: i32 [R, L], tokens.
        rows: i64 [R], the number that names each row in its corpus.
        marks: `read_word_marks(tokenizer, options.words)`.
        options: how tokens are chosen.
        seed: of all draws.
        epoch: one for all rows, or i64 [R], one for each.
        weights: with smoothing, f64 [V] from `piece_weights`.
        real: with smoothing, how many tokens of the batch are no padding.
    """
    keys = _row_keys(seed, epoch, rows)  # u64 [R]

    if options.smoothing:
        assert weights is not None
        assert real is not None
        chosen = _draw_tokens(ids, keys, weights, int(np.ceil(options.rate * real)))
        single = np.array([chosen.sum()])
        return Corruption(_replace(ids, chosen, keys, marks, options), chosen, single, single)

    words = _find_words(ids, marks, options.ngram)
    budgets = _budgets(words, keys, options)
    taken, sampled, realised = _take_spans(words, budgets, keys, options.ngram)

    # From words to tokens: +1 where a word begins, -1 behind its end, summed up along the text.
    change = np.zeros(ids.size + 1, np.int8)
    change[words.start[taken]] += 1
    change[words.start[taken] + words.sizes[taken, 0]] -= 1
    chosen = np.cumsum(change[:-1], dtype=np.int8).view(bool).reshape(ids.shape)  # [R, L]

    return Corruption(_replace(ids, chosen, keys, marks, options), chosen, sampled, realised)


def piece_weights(counts: np.ndarray, marks: WordMarks, smoothing: float) -> np.ndarray:
    """Return the weight of each piece, f64 [V]: max(count, 1)^-smoothing.

    Special tokens and the unknown one weigh 0.
    """
    weights: np.ndarray = np.maximum(counts, 1).astype(np.float64) ** -smoothing
    weights[marks.special] = weights[marks.unk_id] = 0
    return weights


def _draw_tokens(ids: np.ndarray, keys: np.ndarray, weights: np.ndarray, wanted: int) -> np.ndarray:
    """Draw `wanted` tokens by their weights without replacement, or all that have one, bool [R, L].

    A race of exponential times, each with its weight as rate: the first to arrive are what drawing
    one after the other would give (Efraimidis and Spirakis 2006).
    """
    weight = weights[ids].ravel()  # [R * L]
    places = np.arange(ids.shape[1], dtype=np.uint64)
    draws = _draw(keys[:, None], _SPANS + places).ravel()  # [R * L]

    # Only tokens with a weight take part; the fastest `wanted` of them are chosen.
    able = np.flatnonzero(weight)
    times = -np.log1p(-_uniform(draws[able])) / weight[able]
    wanted = min(wanted, len(able))
    fastest = np.argpartition(times, wanted - 1)[:wanted] if wanted else np.zeros(0, np.int64)

    chosen = np.zeros(ids.size, bool)
    chosen[able[fastest]] = True
    return chosen.reshape(ids.shape)


@dataclass(frozen=True, slots=True)
class _RowWords:
    """The W words of R rows, in order.

    With N = 3 and the row `[CLS] la ni ##ña ve [SEP]` the words are "la", "ni ##ña" and "ve":

        start   1  2  4
        sizes   [1, 3, 4]  [2, 3, 3]  [1, 1, 1]    tokens of the span of 1, 2, 3 words from here
        counts  [1, 2, 3]  [1, 2, 2]  [1, 1, 1]    words of it: the text ends before there are three

    row, start: i64 [W], the row, and the place among all R x L tokens.
    sizes, counts: i64 [W, N], tokens and words of the span of 1..N words that starts here, or of as
    many as there are.
    """

    row: np.ndarray
    start: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    rows: int
    length: int


def _find_words(ids: np.ndarray, marks: WordMarks, ngram: int) -> _RowWords:
    """Find the words of all rows, and how far the spans reach that start at each."""
    # A word reaches to the next edge. A row's first token is one, so no word reaches the next row.
    starts = word_starts(ids, marks)  # bool [R, L]
    edges = np.flatnonzero(starts | marks.special[ids])
    ends = np.append(edges[1:], ids.size)

    # Special tokens are edges but no words; a word with an unknown part is none either.
    is_word = starts.ravel()[edges]
    unknown = np.flatnonzero(ids == marks.unk_id)
    is_word[np.searchsorted(edges, unknown, side="right") - 1] = False
    start, end = edges[is_word], ends[is_word]  # [W]
    row = start // ids.shape[1]

    # Whether the next word of the same row follows at once, so that a span may go on.
    follows = (start[1:] == end[:-1]) & (row[1:] == row[:-1])
    joined = np.append(follows, False)[: len(start)]  # bool [W]

    # The span of n words from here ends where the span of n - 1 words from the next word does.
    reach, count = [end], [np.ones(len(start), np.int64)]
    for _ in range(1, ngram):
        reach.append(np.where(joined, np.roll(reach[-1], -1), end))
        count.append(np.where(joined, np.roll(count[-1], -1) + 1, 1))
    sizes = np.stack(reach, axis=1) - start[:, None]  # [W, N]

    return _RowWords(row, start, sizes, np.stack(count, axis=1), *ids.shape)


def _budgets(words: _RowWords, keys: np.ndarray, options: Masking) -> np.ndarray:
    """Return how many tokens to choose in every row, i64 [R]; their mean over rows is the rate."""
    tokens = np.bincount(words.row, weights=words.sizes[:, 0], minlength=words.rows)
    exact = options.rate * tokens + _uniform(_draw(keys, _BUDGET))
    budget: np.ndarray = np.floor(exact).astype(np.int64)
    return budget if options.cap is None else np.minimum(budget, options.cap)


def _take_spans(
    words: _RowWords, left: np.ndarray, keys: np.ndarray, ngram: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take spans in every row until its budget is spent.

    All rows move at once: in turn t every row that has budget left tries its t-th start. Of the row
    `[CLS] la ni ##ña ve [SEP]` with a budget of 2 tokens, starts in the order "ve", "la", "ni" and
    wished lengths of 1, 3 and 1 words:

        turn 0   "ve" alone fits                         left 2 - 1 = 1
        turn 1   "la ni ##ña ve" is too long, so are two words; "la" alone fits   left 0

    Args:
        words: the W words of all rows.
        left: i64 [R], the budgets in tokens; counted down in place.
        keys: u64 [R], one per row.
        ngram: longest span in words, N.

    Returns:
        The words taken, bool [W], and how many spans of each length were drawn and taken, i64 [N].
    """
    # Draw: the high bits of a word's number shuffle the words of its row, the low ones, which the
    # order does not use, choose how many words a span that starts here is to have.
    places = (words.start % words.length).astype(np.uint64)
    draws = _draw(keys[words.row], _SPANS + places)  # u64 [W]
    order = np.argsort((words.row.astype(np.uint64) << np.uint64(40)) | (draws >> np.uint64(24)))
    weights = 1 / np.arange(1, ngram + 1)
    bounds = np.cumsum(weights / weights.sum())[:-1]  # [N - 1]
    low = (draws & np.uint64(0xFFFFFF)) * 2.0**-24
    wished = np.searchsorted(bounds, low, side="right") + 1  # [W], 1..N

    # The shuffled words of row r are order[first[r] : first[r] + size[r]].
    size = np.bincount(words.row, minlength=words.rows)  # [R]
    first = np.cumsum(size) - size

    taken = np.zeros(len(order) + ngram, bool)  # room for spans that would reach over the end
    sampled, realised = np.zeros(ngram + 1, np.int64), np.zeros(ngram + 1, np.int64)
    steps = np.arange(ngram)
    turn = 0
    active = np.flatnonzero((left > 0) & (size > 0))  # rows that still take part
    while len(active):
        # The word at which each active row starts a span, and the span's wished number of words.
        start = order[first[active] + turn]  # [active]
        length = wished[start]
        sampled += np.bincount(length, minlength=ngram + 1)

        # Shorten the span until its tokens fit into what is left; sizes grow with the words.
        short_enough = words.sizes[start] <= left[active, None]  # [active, N]
        fitting = (short_enough & (steps < length[:, None])).sum(axis=1)
        fits = fitting > 0
        start, last, row = start[fits], fitting[fits] - 1, active[fits]  # [fits]

        # Take it if none of its words is taken.
        inside = steps < words.counts[start, last][:, None]  # [fits, N]
        members = start[:, None] + steps
        free = ~(taken[members] & inside).any(axis=1)
        taken[members[free][inside[free]]] = True
        left[row[free]] -= words.sizes[start[free], last[free]]
        realised += np.bincount(words.counts[start[free], last[free]], minlength=ngram + 1)

        turn += 1
        active = active[(left[active] > 0) & (size[active] > turn)]

    return taken[: len(order)], sampled[1:], realised[1:]


def _replace(
    ids: np.ndarray, chosen: np.ndarray, keys: np.ndarray, marks: WordMarks, options: Masking
) -> np.ndarray:
    """Return the rows with every chosen token masked, exchanged or left as it is, [R, L]."""
    at = np.flatnonzero(chosen)  # [K] chosen tokens
    row, place = np.divmod(at, ids.shape[1])
    draws = _draw(keys[row], _TOKENS + place.astype(np.uint64))  # u64 [K]

    # The high half of the bits decides what happens, the low half which piece it would be.
    lot = (draws >> np.uint64(32)) * 2.0**-32
    scaled = (draws & np.uint64(0xFFFFFFFF)) * np.uint64(len(marks.ordinary))
    piece = marks.ordinary[scaled >> np.uint64(32)]

    corrupted = ids.ravel().copy()
    original = corrupted[at]
    exchanged = np.where(lot < options.mask + options.random, piece, original)
    corrupted[at] = np.where(lot < options.mask, marks.mask_id, exchanged)
    return corrupted.reshape(ids.shape)


def _row_keys(seed: int, epoch: int | np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return one key per row, u64 [R]."""
    key = np.zeros(1, np.uint64)
    for part in (np.array([seed]), np.atleast_1d(epoch), rows):
        key = hashed(key + (part.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return key


def _draw(keys: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Draw 64 random bits per key and place.

    They are the place-th number of SplitMix64 (Steele et al. 2014) begun at the key.
    """
    return hashed(keys + (place + np.uint64(1)) * _GOLDEN)


def hashed(z: np.ndarray) -> np.ndarray:
    """Turn each number u64 [N] into 64 bits that look random: the last step of SplitMix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _uniform(draws: np.ndarray) -> np.ndarray:
    """Turn random bits into numbers from 0 to 1, exclusive."""
    return (draws >> np.uint64(11)) * 2.0**-53
