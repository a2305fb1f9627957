"""Sentence-order pairs, and rows of one length that hold several of them without waste.

    [CLS] A [SEP] B [SEP] | [CLS] A [SEP] B [SEP] | [CLS] A [SEP] ...

A pair is a run of consecutive sentences of one document, cut in two between sentences at random; with probability 0.5
the two change places, and the model has to tell (sentence order; Lan et al. 2020). Every pair has its own frame, its
positions start at 0 and its number bounds the attention, so a pair reads as if it stood alone. The last sentence of a
row goes on at the start of the next one.

A run of one sentence has no order. Here it stands alone, without a label; in the published code (fact sheet 1.4) it
is followed by sentences of another document and labelled as swapped, which is topic rather than order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from destila.config import Options, opt
from destila.types import IGNORE

FRAME = 3
"""Special tokens of a pair."""

_LEAST = FRAME + 5  # tokens that are still worth a pair; fewer go to the pair before
_OTHERS = 64  # documents among which the published code's second sentence is looked for


class Packing(Options):
    """Rows and the pairs in them."""

    length: int = opt(128, "tokens of a row", ge=2 * _LEAST)
    pair: int | None = opt(None, "tokens after which a pair takes no further sentence; none = the row's length", ge=1)
    short: float = opt(0.1, "share of pairs that end earlier, anywhere from 2 tokens on", ge=0, le=1)
    single: Literal["alone", "other"] = opt(
        "alone", "a lone sentence stands alone, or is followed by another document and labelled swapped (ALBERT)"
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """The ids around a pair, and of the rest of a row."""

    cls: int
    sep: int
    pad: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row, or several stacked: each i32, [L] or [R, L].

    pair: the number of the token's pair in its row from 1, 0 for padding; tokens see those of equal number. positions:
    within the pair. order: at every [CLS] 1 when its halves are swapped, 0 when not, IGNORE when there is no telling;
    IGNORE at all other tokens.
    """

    input_ids: np.ndarray
    type_ids: np.ndarray
    positions: np.ndarray
    pair: np.ndarray
    order: np.ndarray


def pack(
    documents: Iterable[Sequence[np.ndarray]], frame: Frame, options: Packing, *, key: Sequence[int]
) -> Iterator[Row]:
    """Rows of documents, each a list of sentences, each an array of ids [n]; nothing is lost with single = "alone".

    key: numbers that all draws depend on, such as (seed, epoch, shard): equal ones give equal rows.
    """
    random = np.random.default_rng(list(key))
    row = _Open(frame, options.length)
    others: deque[Sequence[np.ndarray]] = deque(maxlen=_OTHERS)
    for document in documents:
        sentences = [sentence for sentence in document if len(sentence)]
        queue = deque(sentences)
        while queue:
            if row.left < _LEAST:
                yield row.closed()
                row = _Open(frame, options.length)
            run = _run(queue, row.left - FRAME, _target(options, random))
            if len(run) > 1:
                row.add(*_cut(run, random))
            elif options.single == "other" and others:
                row.add(*_mixed(run[0], others, row.left - FRAME, random), 1)
            else:
                row.add(_filled(run[0], queue, row.left - FRAME + 1), None, IGNORE)
        if sentences and options.single == "other":
            others.append(sentences)
    if row.left < options.length:
        yield row.closed()


def stack(rows: Sequence[Row]) -> Row:
    """Rows as one batch, [R, L]."""
    names = ("input_ids", "type_ids", "positions", "pair", "order")
    return Row(*(np.stack([getattr(row, name) for row in rows]) for name in names))


def _target(options: Packing, random: np.random.Generator) -> int:
    longest = min(options.pair or options.length, options.length) - FRAME
    return int(random.integers(2, max(3, longest))) if random.random() < options.short else longest


def _run(queue: deque[np.ndarray], room: int, target: int) -> list[np.ndarray]:
    """Sentences off the queue until there are two with `target` tokens; what exceeds the room goes back."""
    run: list[np.ndarray] = []
    size = 0
    while queue and size < room and (size < target or len(run) < 2 or room - size < _LEAST):
        sentence = queue.popleft()
        if len(sentence) > room - size:
            queue.appendleft(sentence[room - size :])
            sentence = sentence[: room - size]
        run.append(sentence)
        size += len(sentence)
    return run


def _cut(run: list[np.ndarray], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    at = int(random.integers(1, len(run)))
    first, second = np.concatenate(run[:at]), np.concatenate(run[at:])
    return (second, first, 1) if random.random() < 0.5 else (first, second, 0)


def _filled(sentence: np.ndarray, queue: deque[np.ndarray], room: int) -> np.ndarray:
    """A lone sentence with the token that the separator it does not need leaves room for, when it was cut there."""
    if len(sentence) < room - 1 or not queue:
        return sentence
    rest = queue.popleft()
    if len(rest) > 1:
        queue.appendleft(rest[1:])
    return np.concatenate([sentence, rest[:1]])


def _mixed(
    sentence: np.ndarray, others: Sequence[Sequence[np.ndarray]], room: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A sentence and sentences of another document, cut to the room at either end, the longer one first."""
    other = others[int(random.integers(len(others)))]
    second: list[np.ndarray] = []
    for found in other[int(random.integers(len(other))) :]:
        second.append(found)
        if sum(len(s) for s in second) >= room - len(sentence):
            break
    rest = np.concatenate(second)
    sizes = [len(sentence), len(rest)]
    excess = max(0, sum(sizes) - room)
    from_longer = min(excess, abs(sizes[0] - sizes[1]))
    drops = [(excess - from_longer) // 2, (excess - from_longer + 1) // 2]
    drops[int(sizes[1] > sizes[0])] += from_longer
    return _shortened(sentence, drops[0], random), _shortened(rest, drops[1], random)


def _shortened(tokens: np.ndarray, drop: int, random: np.random.Generator) -> np.ndarray:
    """Tokens without `drop` of them, each from either end with the same probability."""
    front = int(random.binomial(drop, 0.5))
    return tokens[front : len(tokens) - (drop - front)]


@dataclass(slots=True)
class _Open:
    """A row that is being filled."""

    frame: Frame
    length: int
    ids: list[np.ndarray] = field(default_factory=list)
    bounds: list[tuple[int, int, int]] = field(default_factory=list)  # size, where B starts, label
    left: int = 0

    def __post_init__(self) -> None:
        self.left = self.length

    def add(self, first: np.ndarray, second: np.ndarray | None, label: int) -> None:
        """Puts a pair, or a lone text, at the end."""
        cls, sep = [self.frame.cls], [self.frame.sep]
        parts: list[list[int] | np.ndarray] = [cls, first, sep] if second is None else [cls, first, sep, second, sep]
        size = sum(len(part) for part in parts)
        assert size <= self.left
        self.ids += [np.asarray(part, np.int32) for part in parts]
        self.bounds.append((size, len(first) + 2, label))
        self.left -= size

    def closed(self) -> Row:
        """The row, padded at its end."""
        types, positions, pair = (np.zeros(self.length, np.int32) for _ in range(3))
        order = np.full(self.length, IGNORE, np.int32)
        start = 0
        for number, (size, second, label) in enumerate(self.bounds, 1):
            end = start + size
            types[start + second : end] = 1
            positions[start:end] = np.arange(size)
            pair[start:end] = number
            order[start] = label
            start = end
        ids = np.concatenate([*self.ids, np.full(self.left, self.frame.pad, np.int32)])
        return Row(ids, types, positions, pair, order)
