"""Sentence-order pairs, and rows of one length that hold several of them without waste.

    [CLS] A [SEP] B [SEP] | [CLS] A [SEP] B [SEP] | [CLS] A [SEP] ...

A pair is a run of consecutive sentences of one document, cut in two between sentences at random; in half of the pairs,
at random, the two change places, and the model has to tell (sentence order; Lan et al. 2020). Every pair has its own
frame, its positions start at 0 and its number bounds the attention, so a pair reads as if it stood alone. Only where
pairs begin and end is decided one after the other; the rows are then filled all at once.

The last sentence of a row goes on at the start of the next one. A half that is torn like this lacks its first word or
its full stop, and where the others have theirs, that tells the order without reading. So a run that is torn at both ends
is cut anywhere, and then all four ends look alike; one that is torn at one end stands alone, without a label.

A run of one sentence has no order. Here it stands alone, without a label; in the published code (fact sheet 1.4) it
is followed by sentences of another document and labelled as swapped, which is topic rather than order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from destila.config import Options, opt
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
        None, "tokens after which a pair takes no further sentence; none = the row's length", ge=1
    )
    short: float = opt(
        0.1, "share of pairs that end earlier, anywhere from 2 tokens on", ge=0, le=1
    )
    torn: bool = opt(False, "cut torn runs between sentences too, which gives their order away")
    single: Literal["alone", "other"] = opt(
        "alone",
        "a lone sentence stands alone, or is followed by another document and labelled swapped (ALBERT)",
    )


@dataclass(frozen=True, slots=True)
class FrameIds:
    """The ids around a pair, and of the rest of a row."""

    cls: int
    sep: int
    pad: int


@dataclass(frozen=True, slots=True)
class Text:
    """Documents in a row. tokens i32 [T]; sentences i64 [S], tokens of each; documents i64 [D], sentences of each."""

    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Rows, i32 [R, L] each.

    pair: the number of the token's pair in its row from 1, 0 for padding; tokens see those of equal number. positions:
    within the pair. order: at every [CLS] 1 when its halves are swapped, 0 when not, IGNORE when there is no telling;
    IGNORE at all other tokens.
    """

    input_ids: np.ndarray
    type_ids: np.ndarray
    positions: np.ndarray
    pair: np.ndarray
    order: np.ndarray

    def __getitem__(self, which: slice | np.ndarray) -> PackedRows:
        """Some of the rows."""
        return PackedRows(*(getattr(self, name)[which] for name in _FIELDS))


def flatten(documents: Iterable[Sequence[np.ndarray]]) -> Text:
    """Documents, each a list of sentences, each an array of ids [n], as one text."""
    found = list(documents)
    sentences = [np.asarray(sentence) for document in found for sentence in document]
    tokens = np.concatenate([np.zeros(0, np.int32), *sentences]).astype(np.int32)
    return Text(
        tokens,
        np.array(list(map(len, sentences)), np.int64),
        np.array(list(map(len, found)), np.int64),
    )


def stack_rows(rows: Sequence[PackedRows], pad: int) -> PackedRows:
    """Rows of rows as one, [R, L], padded to the longest."""
    if len(rows) == 1:
        return rows[0]
    length, fill = max(row.pair.shape[1] for row in rows), {"input_ids": pad, "order": IGNORE}

    def field(row: PackedRows, name: str) -> np.ndarray:
        found: np.ndarray = getattr(row, name)
        return np.pad(
            found, ((0, 0), (0, length - found.shape[1])), constant_values=fill.get(name, 0)
        )

    return PackedRows(*(np.concatenate([field(row, name) for row in rows]) for name in _FIELDS))


def pack(text: Text, frame: FrameIds, options: Packing, *, key: Sequence[int]) -> PackedRows:
    """The rows [R, L] of a text; nothing of it is lost with single = "alone".

    key: numbers that all draws depend on, such as (seed, epoch, shard): equal ones give equal rows.
    """
    plan = np.array(_plan(text, options, np.random.default_rng(list(key))), np.int64).reshape(-1, 7)
    return _filled(text.tokens, plan, frame, options.length)


def _plan(text: Text, options: Packing, random: np.random.Generator) -> list[tuple[int, ...]]:
    """Pairs in order: (row, place in it, start and end of A, start and end of B in the tokens, label)."""
    ends = np.cumsum(text.sentences)
    stops = np.append(0, ends)[np.cumsum(text.documents)].tolist()
    ends = ends[text.sentences > 0].tolist()
    uniform, swaps = _uniforms(random), _balanced(random)
    others: deque[tuple[list[int], int]] = deque(maxlen=_OTHERS)
    found: list[tuple[int, ...]] = []
    at = sentence = row = 0
    left = options.length
    for stop in stops:
        opened, first = at, sentence
        while at < stop:
            if left < _LEAST:
                row, left = row + 1, options.length
            start, room, target = at, left - FRAME, _target(options, uniform)
            torn = not options.torn and start != (ends[sentence - 1] if sentence else 0)
            bounds: list[int] = []
            while at < stop and at - start < room and _wants(at - start, len(bounds), target, room):
                at = min(ends[sentence], start + room)
                sentence += at == ends[sentence]
                bounds.append(at)
            tears = torn + (not options.torn and at != ends[sentence - 1])
            if tears == 2:
                bounds = [start + 1 + int(next(uniform) * (at - start - 1)), at]
            place = options.length - left
            if len(bounds) > 1 and tears != 1:
                middle = bounds[int(next(uniform) * (len(bounds) - 1))]
                halves = (
                    (middle, at, start, middle, 1)
                    if next(swaps)
                    else (start, middle, middle, at, 0)
                )
            elif options.single == "other" and others and not tears:
                other = others[int(next(uniform) * len(others))]
                halves = (*_mixed((start, at), other, room, random), 1)
            else:
                if (
                    at - start == room and at < stop
                ):  # no separator in the middle leaves room for one more
                    at += 1
                    sentence += at == ends[sentence]
                halves = (start, at, at, at, IGNORE)
            found.append((row, place, *halves))
            left -= (
                halves[1]
                - halves[0]
                + halves[3]
                - halves[2]
                + (FRAME if halves[3] > halves[2] else FRAME - 1)
            )
        if stop > opened and options.single == "other":
            others.append(([opened, *ends[first : sentence - 1]], stop))
    return found


def _wants(size: int, sentences: int, target: int, room: int) -> bool:
    """Whether a run takes another sentence: until there are two with `target` tokens, or too little is left after."""
    return size < target or sentences < 2 or room - size < _LEAST


def _target(options: Packing, uniform: Iterator[float]) -> int:
    longest = min(options.pair or options.length, options.length) - FRAME
    return (
        2 + int(next(uniform) * (max(3, longest) - 2)) if next(uniform) < options.short else longest
    )


def _uniforms(random: np.random.Generator) -> Iterator[float]:
    """Numbers from 0 to 1 without end, drawn many at a time."""
    while True:
        yield from random.random(1024).tolist()


def _balanced(random: np.random.Generator) -> Iterator[bool]:
    """Yes and no without end in a random order, as many of each in every 64: labels never lean to one side."""
    while True:
        yield from (random.permutation(64) < 32).tolist()


def _mixed(
    sentence: tuple[int, int], other: tuple[list[int], int], room: int, random: np.random.Generator
) -> tuple[int, int, int, int]:
    """Bounds of a sentence and of sentences of another document, cut to the room at both ends, the longer first."""
    starts, stop = other
    own = sentence[1] - sentence[0]
    chosen = int(random.integers(len(starts)))
    reach = [end for end in starts[chosen + 1 :] if end - starts[chosen] >= room - own]
    second = (starts[chosen], reach[0] if reach else stop)
    sizes = [own, second[1] - second[0]]
    excess = max(0, sum(sizes) - room)
    from_longer = min(excess, abs(sizes[0] - sizes[1]))
    drops = [(excess - from_longer) // 2, (excess - from_longer + 1) // 2]
    drops[int(sizes[1] > sizes[0])] += from_longer
    return (*_shortened(sentence, drops[0], random), *_shortened(second, drops[1], random))


def _shortened(tokens: tuple[int, int], drop: int, random: np.random.Generator) -> tuple[int, int]:
    """Bounds without `drop` of the tokens, each from either end with the same probability."""
    front = int(random.binomial(drop, 0.5))
    return tokens[0] + front, tokens[1] - (drop - front)


def _filled(tokens: np.ndarray, plan: np.ndarray, frame: FrameIds, length: int) -> PackedRows:
    row, place, a, a_end, b, b_end, label = plan.T
    rows = int(row[-1]) + 1 if len(row) else 0
    firsts, seconds = a_end - a, b_end - b
    sizes = firsts + seconds + np.where(seconds > 0, FRAME, FRAME - 1)
    start = row * length + place
    ids = np.full(rows * length, frame.pad, np.int32)
    types, positions, pair = (np.zeros(rows * length, np.int32) for _ in range(3))
    order = np.full(rows * length, IGNORE, np.int32)
    ids[start], ids[start + firsts + 1], ids[start + sizes - 1] = frame.cls, frame.sep, frame.sep
    ids[_ranges(start + 1, firsts)] = tokens[_ranges(a, firsts)]
    ids[_ranges(start + firsts + 2, seconds)] = tokens[_ranges(b, seconds)]
    types[_ranges(start + firsts + 2, np.where(seconds > 0, seconds + 1, 0))] = 1
    real = _ranges(start, sizes)
    positions[real] = _ranges(np.zeros_like(sizes), sizes)
    number = np.arange(len(row)) - np.searchsorted(row, row) + 1
    pair[real] = np.repeat(number, sizes)
    order[start] = label
    return PackedRows(
        *(field.reshape(rows, length) for field in (ids, types, positions, pair, order))
    )


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers from each start on, as many as its size, one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    numbers: np.ndarray = np.arange(total) + np.repeat(starts - ends + sizes, sizes)
    return numbers
