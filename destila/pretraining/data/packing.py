"""Sentence-order pairs, and rows of one length that hold several of them without waste.

    [CLS] A [SEP] B [SEP] | [CLS] A [SEP] B [SEP] | [CLS] A [SEP] ...

A pair is a run of consecutive sentences of one document, cut in two between sentences at random; in
half of the pairs, at random, the two change places, and the model has to tell (sentence order; Lan
et al. 2020). Every pair has its own frame, its positions start at 0 and its number bounds the
attention, so a pair reads as if it stood alone. Only where pairs begin and end is decided one after
the other; the rows are then filled all at once.

The last sentence of a row goes on at the start of the next one. A half that is torn like this lacks
its first word or its full stop, and where the others have theirs, that tells the order without
reading. So a run that is torn at both ends is cut anywhere, and then all four ends look alike; one
that is torn at one end stands alone, without a label.

A run of one sentence has no order. Here it stands alone, without a label; in the published code
(fact sheet 1.4) it is followed by sentences of another document and labelled as swapped, which is
topic rather than order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from destila.config import Options, opt
from destila.corpus.chunks import consecutive
from destila.types import IGNORE

FRAME = 3
"""Special tokens of a pair."""

_FIELDS = ("input_ids", "type_ids", "positions", "pair", "order")
_LEAST = FRAME + 5  # tokens that are still worth a pair; fewer go to the pair before
SHORTEST_PAIR_ROW = 2 * _LEAST
"""Tokens of a row at least."""

_OTHERS = 64  # documents among which the published code's second sentence is looked for


class Packing(Options):
    """Rows and the pairs in them."""

    length: int = opt(128, "tokens of a row", ge=SHORTEST_PAIR_ROW)
    pair: int | None = opt(
        None,
        "tokens after which a pair takes no further sentence; none = the row's length",
        ge=1,
    )
    short: float = opt(
        0.1, "share of pairs that end earlier, anywhere from 2 tokens on", ge=0, le=1
    )
    torn: bool = opt(
        False,
        "cut torn runs between sentences too, which gives their order away",
        reproduction=True,
    )
    single: Literal["alone", "other"] = opt(
        "alone",
        "a lone sentence stands alone, or is followed by another document and labelled swapped "
        "(ALBERT)",
        reproduction=True,
    )


@dataclass(frozen=True, slots=True)
class FrameIds:
    """The ids around a pair, and of the rest of a row."""

    cls: int
    sep: int
    pad: int


@dataclass(frozen=True, slots=True)
class Text:
    """Documents in a row.

    tokens: i32 [T]. sentences: i64 [S], tokens of each. documents: i64 [D], sentences of each.
    """

    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Rows of pairs, i32 [R, L] each.

    Two pairs in a row of 12, the first swapped, the second a lone sentence without an order:

        input_ids   CLS b SEP a a SEP   CLS c c c SEP   pad
        type_ids     0  0  0  1 1  1     0  0 0 0  0     0
        positions    0  1  2  3 4  5     0  1 2 3  4     0
        pair         1  1  1  1 1  1     2  2 2 2  2     0
        order        1  -  -  - -  -     -  - - -  -     -

    pair: the number of the token's pair in its row from 1, 0 for padding; tokens see those of equal
    number. positions: within the pair. order: at every [CLS] 1 when its halves are swapped, 0 when
    not, IGNORE (here -) when there is no telling; IGNORE at all other tokens.
    """

    input_ids: np.ndarray
    type_ids: np.ndarray
    positions: np.ndarray
    pair: np.ndarray
    order: np.ndarray

    def __getitem__(self, which: slice | np.ndarray) -> PackedRows:
        """Return some of the rows."""
        return PackedRows(*(getattr(self, name)[which] for name in _FIELDS))


@dataclass(frozen=True, slots=True)
class PlannedRows:
    """Rows of which only the pairs are known: where each begins and ends is the work of one reader.

    tokens: i32 [T], of the text. pairs: i64 [P, 7], see `_Planner.plan`. length: of a row, L.
    """

    tokens: np.ndarray
    pairs: np.ndarray
    length: int

    def __len__(self) -> int:
        return int(self.pairs[-1, 0]) + 1 if len(self.pairs) else 0

    def rows(self, which: np.ndarray, frame: FrameIds) -> PackedRows:
        """Write some of the rows, by their numbers i64 [R], in that order."""
        row = self.pairs[:, 0]  # [P], rising
        first = np.searchsorted(row, which)
        counts = np.searchsorted(row, which, side="right") - first  # [R], pairs of each row
        chosen = self.pairs[consecutive(first, counts)]
        chosen[:, 0] = np.repeat(np.arange(len(which)), counts)
        return _fill(self.tokens, chosen, frame, len(which), self.length)


def flatten(documents: Iterable[Sequence[np.ndarray]]) -> Text:
    """Make one text of documents, each a list of sentences, each an array of ids [n]."""
    documents = list(documents)
    sentences = [np.asarray(sentence) for document in documents for sentence in document]
    tokens = np.concatenate([np.zeros(0, np.int32), *sentences]).astype(np.int32)
    return Text(
        tokens,
        np.array([len(sentence) for sentence in sentences], np.int64),
        np.array([len(document) for document in documents], np.int64),
    )


def stack_rows(parts: Sequence[PackedRows], pad: int) -> PackedRows:
    """Join several rows [r, l] to one [R, L], padded to the longest."""
    if len(parts) == 1:
        return parts[0]

    length = max(part.pair.shape[1] for part in parts)
    fill = {"input_ids": pad, "order": IGNORE}

    def padded(part: PackedRows, name: str) -> np.ndarray:
        field: np.ndarray = getattr(part, name)
        missing = length - field.shape[1]
        return np.pad(field, ((0, 0), (0, missing)), constant_values=fill.get(name, 0))

    return PackedRows(*(np.concatenate([padded(p, name) for p in parts]) for name in _FIELDS))


def pack(text: Text, frame: FrameIds, options: Packing, *, key: Sequence[int]) -> PackedRows:
    """Pack a text into rows [R, L]; nothing of it is lost with single = "alone".

    Args:
        text: documents.
        frame: the special tokens.
        options: length of a row, and how pairs are made.
        key: numbers that all draws depend on, such as (seed, epoch, shard): equal ones give equal
            rows.
    """
    planned = plan_rows(text, options, key=key)
    return planned.rows(np.arange(len(planned)), frame)


def plan_rows(text: Text, options: Packing, *, key: Sequence[int]) -> PlannedRows:
    """Decide which pairs stand in which row, as `pack` does, without writing the rows."""
    plan = _Planner(text, options, np.random.default_rng(list(key))).plan()
    return PlannedRows(text.tokens, np.array(plan, np.int64).reshape(-1, 7), options.length)


class _Planner:
    """Decides where pairs begin and end, one after the other, and which are swapped."""

    def __init__(self, text: Text, options: Packing, random: np.random.Generator) -> None:
        self.options, self.random = options, random
        ends = np.cumsum(text.sentences)
        self.stops = np.append(0, ends)[np.cumsum(text.documents)].tolist()  # of documents
        self.ends = ends[text.sentences > 0].tolist()  # of sentences
        self.uniform, self.swaps = _uniforms(random), _balanced(random)
        self.others: deque[tuple[list[int], int]] = deque(maxlen=_OTHERS)

        self.at = 0  # the next token
        self.sentence = 0  # the sentence it is in
        self.row = 0
        self.left = options.length  # tokens that are free in the row

    def plan(self) -> list[tuple[int, ...]]:
        """Plan all pairs in order.

        Returns:
            Per pair: row, place in it, start and end of A, start and end of B in the tokens, label.
        """
        pairs: list[tuple[int, ...]] = []
        for stop in self.stops:
            opened, first = self.at, self.sentence
            while self.at < stop:
                if self.left < _LEAST:
                    self.row, self.left = self.row + 1, self.options.length
                place = self.options.length - self.left
                halves = self._pair(stop)
                pairs.append((self.row, place, *halves))

                a, a_end, b, b_end, _ = halves
                frame = FRAME if b_end > b else FRAME - 1  # a lone half has one separator
                self.left -= a_end - a + b_end - b + frame

            # The published code looks for a second sentence in documents that came before.
            if stop > opened and self.options.single == "other":
                starts = [opened, *self.ends[first : self.sentence - 1]]
                self.others.append((starts, stop))
        return pairs

    def _pair(self, stop: int) -> tuple[int, int, int, int, int]:
        """Take the next pair of a document that ends at `stop`: bounds of A and of B, and label."""
        start, room = self.at, self.left - FRAME
        target = self._target()

        # A run begins torn where the row before broke off inside a sentence.
        previous_end = self.ends[self.sentence - 1] if self.sentence else 0
        begins_torn = not self.options.torn and start != previous_end
        bounds = self._run(start, stop, target, room)
        ends_torn = not self.options.torn and self.at != self.ends[self.sentence - 1]
        tears = begins_torn + ends_torn

        # Torn at both ends, it may be cut anywhere; all four ends of the halves then look alike.
        if tears == 2:
            middle = start + 1 + int(next(self.uniform) * (self.at - start - 1))
            bounds = [middle, self.at]

        if len(bounds) > 1 and tears != 1:
            middle = bounds[int(next(self.uniform) * (len(bounds) - 1))]
            if next(self.swaps):
                return middle, self.at, start, middle, 1
            return start, middle, middle, self.at, 0

        if self.options.single == "other" and self.others and not tears:
            other = self.others[int(next(self.uniform) * len(self.others))]
            return *_mix((start, self.at), other, room, self.random), 1

        # Alone: no separator in the middle leaves room for one token more.
        if self.at - start == room and self.at < stop:
            self._advance(self.at + 1)
        return start, self.at, self.at, self.at, IGNORE

    def _run(self, start: int, stop: int, target: int, room: int) -> list[int]:
        """Take sentences until they are enough, and return where each of them ends.

        Enough: two sentences or more with `target` tokens, but not so many that what is left of the
        room would be too little for another pair.
        """
        bounds: list[int] = []
        while self.at < stop and self.at - start < room:
            size = self.at - start
            if size >= target and len(bounds) >= 2 and room - size >= _LEAST:
                break
            self._advance(min(self.ends[self.sentence], start + room))
            bounds.append(self.at)
        return bounds

    def _advance(self, at: int) -> None:
        """Move to a token of this sentence, or behind its last one and so to the next sentence."""
        self.at = at
        self.sentence += at == self.ends[self.sentence]

    def _target(self) -> int:
        """Draw the tokens a pair is to have: as many as fit, or for some pairs fewer."""
        longest = min(self.options.pair or self.options.length, self.options.length) - FRAME
        if next(self.uniform) < self.options.short:
            return 2 + int(next(self.uniform) * (max(3, longest) - 2))
        return longest


def _uniforms(random: np.random.Generator) -> Iterator[float]:
    """Yield numbers from 0 to 1 without end, drawn many at a time."""
    while True:
        yield from random.random(1024).tolist()


def _balanced(random: np.random.Generator) -> Iterator[bool]:
    """Yield True and False without end in a random order, as many of each in every 64.

    So labels never lean to one side.
    """
    while True:
        yield from (random.permutation(64) < 32).tolist()


def _mix(
    sentence: tuple[int, int],
    other: tuple[list[int], int],
    room: int,
    random: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Pair a sentence with sentences of another document, as the published code does.

    Args:
        sentence: its bounds in the tokens.
        other: the starts of the other document's sentences, and the end of its last one.
        room: tokens that the two may have together; both ends are cut, the longer half first.
        random: of the choice and of the cuts.

    Returns:
        Bounds of the sentence and of the second half.
    """
    starts, stop = other
    own = sentence[1] - sentence[0]

    # From a random sentence on, until the room is full or the document ends.
    chosen = int(random.integers(len(starts)))
    enough = [end for end in starts[chosen + 1 :] if end - starts[chosen] >= room - own]
    second = (starts[chosen], enough[0] if enough else stop)

    # The longer half gives up tokens until both are equal, then both give up the rest.
    sizes = [own, second[1] - second[0]]
    excess = max(0, sum(sizes) - room)
    from_longer = min(excess, abs(sizes[0] - sizes[1]))
    drops = [(excess - from_longer) // 2, (excess - from_longer + 1) // 2]
    drops[int(sizes[1] > sizes[0])] += from_longer

    return (*_shorten(sentence, drops[0], random), *_shorten(second, drops[1], random))


def _shorten(bounds: tuple[int, int], drop: int, random: np.random.Generator) -> tuple[int, int]:
    """Drop so many tokens, each from either end with the same probability."""
    front = int(random.binomial(drop, 0.5))
    return bounds[0] + front, bounds[1] - (drop - front)


def _fill(
    tokens: np.ndarray, plan: np.ndarray, frame: FrameIds, rows: int, length: int
) -> PackedRows:
    """Write all pairs of a plan into rows at once.

    Args:
        tokens: i32 [T].
        plan: i64 [P, 7], see `_Planner.plan`.
        frame: the special tokens.
        rows: R.
        length: tokens of a row, L.
    """
    row, place, a, a_end, b, b_end, label = plan.T  # [P] each
    firsts, seconds = a_end - a, b_end - b  # tokens of A and of B
    sizes = firsts + seconds + np.where(seconds > 0, FRAME, FRAME - 1)
    start = row * length + place  # where each pair begins among all R x L places

    # Tokens: the frame of every pair, then its halves.
    ids = np.full(rows * length, frame.pad, np.int32)
    ids[start] = frame.cls
    ids[start + firsts + 1] = frame.sep
    ids[start + sizes - 1] = frame.sep
    ids[consecutive(start + 1, firsts)] = tokens[consecutive(a, firsts)]
    ids[consecutive(start + firsts + 2, seconds)] = tokens[consecutive(b, seconds)]

    # The second half and its separator have type 1.
    types = np.zeros(rows * length, np.int32)
    types[consecutive(start + firsts + 2, np.where(seconds > 0, seconds + 1, 0))] = 1

    # Positions start anew and numbers go up with every pair of a row.
    positions, pair = np.zeros(rows * length, np.int32), np.zeros(rows * length, np.int32)
    real = consecutive(start, sizes)
    positions[real] = consecutive(np.zeros_like(sizes), sizes)
    number = np.arange(len(row)) - np.searchsorted(row, row) + 1
    pair[real] = np.repeat(number, sizes)

    order = np.full(rows * length, IGNORE, np.int32)
    order[start] = label

    fields = (ids, types, positions, pair, order)
    return PackedRows(*(field.reshape(rows, length) for field in fields))
