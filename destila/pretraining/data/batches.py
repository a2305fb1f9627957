"""Batches of masked, packed text from corpora on disk, as a pure function of a small cursor: what pre-training reads.

    corpora -> segments (segments.py) -> their order, mixed (mixture.py)
    -> blocks of about 131,072 tokens -> rows (packing.py, or sentence_rows.py) in a random order
    -> a batch, corrupted (masking.py)

Nothing is random but by a key: a cursor gives the same batch whenever and in whatever order it is taken, also by
another process, so that a run goes on where it was killed. A text that is read again is packed and masked anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from destila.config import Options, build_config, opt
from destila.corpus.shards import Shards
from destila.errors import ConfigError, DataError
from destila.pretraining.data.masking import Corruption, Masking, corrupt, piece_weights
from destila.pretraining.data.mixture import Mixture
from destila.pretraining.data.packing import FrameIds, PackedRows, Packing, Text, pack, stack_rows
from destila.pretraining.data.segments import Segments, cut_segments, is_held_out, read_segment
from destila.pretraining.data.sentence_rows import Lines, order_lines, split_lines
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import read_word_marks
from destila.types import IGNORE

_PACK, _SHUFFLE, _HELD = 2, 3, 4  # of the keys that draws depend on; 1 is the mixture's
_COUNTED = 1 << 22  # tokens counted at once


class FeedOptions(Options):
    """What is read, how it is laid out and what is hidden."""

    weights: tuple[float, ...] | None = opt(
        None,
        "one number per corpus, its share of the tokens that are read; none = each is read equally often",
    )
    form: Literal["pairs", "lines"] = opt(
        "pairs", "rows of sentence-order pairs, or of a sentence each (DistilBETO)"
    )
    packing: Packing = opt(Packing(), "pairs in rows; a stage's length and pair go before these")
    masking: Masking = opt(Masking(), "what is hidden; a stage's rate goes before this one")
    stretch: int = opt(2048, "tokens of a stretch of a document, the unit that is drawn", ge=1)
    block: int = opt(131_072, "tokens that are drawn, packed and shuffled together", ge=1)
    heldout: float = opt(0.002, "share of the stretches that is kept for evaluation", ge=0, le=0.5)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader stands; `dataclasses.asdict` makes it JSON, `Cursor(**found)` restores it.

    block: its number. row: the next one in it. places: stretches drawn of each corpus before the block. cut: what the
    block's rows depend on beside these; () before the first.
    """

    block: int
    row: int
    places: tuple[int, ...]
    cut: tuple[int, ...]

    def __post_init__(self) -> None:
        """Turns the lists that JSON knows into tuples."""
        object.__setattr__(self, "places", tuple(self.places))
        object.__setattr__(self, "cut", tuple(self.cut))


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """A batch: i32 [R, L] each. input_ids: corrupted; target: the original at chosen tokens, IGNORE elsewhere.

    type_ids, positions, pair, order: as in `packing.Row`. tokens: those that are no padding.
    """

    input_ids: np.ndarray
    target: np.ndarray
    type_ids: np.ndarray
    positions: np.ndarray
    pair: np.ndarray
    order: np.ndarray
    tokens: int


class _Block(Protocol):
    """Rows of one block."""

    def __len__(self) -> int: ...

    def rows(self, start: int, stop: int) -> PackedRows: ...


class BatchStream:
    """Batches of corpora that one tokenizer has made. Only `take` is for one thread at a time."""

    def __init__(
        self, corpora: Sequence[Shards], tokenizer: Tokenizer, options: FeedOptions, *, seed: int
    ) -> None:
        """Cuts the corpora; raises DataError for an empty one, ConfigError for weights that do not fit them."""
        _check(corpora, options)
        self.options, self._seed = options, seed
        self._corpora = corpora
        self._marks, self._held_marks = (
            read_word_marks(tokenizer, options.masking.words),
            read_word_marks(tokenizer, Masking().words),
        )
        self._frame = FrameIds(tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id)
        found = [cut_segments(corpus, options.stretch) for corpus in corpora]
        held = [is_held_out(stretches, options.heldout) for stretches in found]
        self._train = [stretches[~apart] for stretches, apart in zip(found, held, strict=True)]
        self._held = [stretches[apart] for stretches, apart in zip(found, held, strict=True)]
        self._mixture = Mixture([s.tokens for s in self._train], options.weights, seed=seed)
        self._weights = None
        if options.masking.smoothing:
            counts = _counts(corpora, tokenizer.vocab_size)
            self._weights = piece_weights(counts, self._marks, options.masking.smoothing)
        self._last: tuple[tuple[object, ...], _Block] | None = None

    def start(self) -> Cursor:
        """The beginning."""
        return Cursor(0, 0, (0,) * len(self._corpora), ())

    def epochs(self, cursor: Cursor) -> tuple[float, ...]:
        """How often each corpus had been read when the cursor's block began."""
        return self._mixture.epochs(cursor.places)

    def take(
        self,
        cursor: Cursor,
        *,
        rows: int,
        length: int,
        rate: float | None = None,
        pair: int | None = None,
        together: int | None = None,
    ) -> tuple[MaskedRows, Cursor]:
        """The batch of `rows` rows at a cursor and the cursor behind it.

        length: tokens of a row; lines are padded to their longest. rate, pair: instead of those of the options.
        together: lines that are computed together, and so of nearly one length; None: all of the batch. Rows of a block
        that were cut for another length, pair or number of lines are passed over. Raises DataError when no line can be
        read.
        """
        pairs = self.options.form == "pairs"
        of = (
            (length, pair or self.options.packing.pair or 0)
            if pairs
            else (length, together or rows)
        )
        if cursor.row and cursor.cut[:2] != of:
            cursor = self._next(cursor)
        parts: list[tuple[int, np.ndarray, PackedRows]] = []
        missing, began = rows, cursor
        while missing:
            cut = cursor.cut if cursor.row else of if pairs else (*of, missing % of[1])
            block = self._block(cursor, cut)
            stop = min(cursor.row + missing, len(block))
            if stop > cursor.row:
                parts.append(
                    (cursor.block, np.arange(cursor.row, stop), block.rows(cursor.row, stop))
                )
                missing -= stop - cursor.row
            if missing and not parts:
                self._check_goes_on(began, cursor)
            cursor = (
                self._next(cursor) if missing else Cursor(cursor.block, stop, cursor.places, cut)
            )
        names = np.concatenate([numbers for _, numbers, _ in parts])
        blocks = np.repeat(
            [block for block, _, _ in parts], [len(numbers) for _, numbers, _ in parts]
        )
        masking = (
            self.options.masking
            if rate is None
            else self.options.masking.model_copy(update={"rate": rate})
        )
        return self._corrupted(
            stack_rows([row for *_, row in parts], self._frame.pad),
            names,
            blocks,
            masking,
            seed=self._seed,
        ), cursor

    def heldout(self, *, length: int, tokens: int) -> MaskedRows:
        """About `tokens` tokens that are never trained on, or all there are: the same whatever the seed.

        Masked and packed by the defaults, not by the options, so that runs that differ in these can be compared. Lines
        come by length. Raises DataError when nothing is held out, or too little.
        """
        some = [corpus for corpus, stretches in enumerate(self._held) if len(stretches)]
        if not some:
            raise DataError(
                f"nothing of {self._corpora[0].folder} is held out for evaluation: set heldout above 0 (it is "
                f"{self.options.heldout}), or a stretch below {self.options.stretch} if the corpus is one document"
            )
        weights = (
            None
            if self.options.weights is None
            else [self.options.weights[corpus] for corpus in some]
        )
        mixture = Mixture([self._held[corpus].tokens for corpus in some], weights, seed=_HELD)
        drawn, _ = mixture.draw((0,) * len(some), tokens)
        once = dict.fromkeys((some[corpus], stretch) for corpus, stretch in drawn)
        text = self._text(self._held, list(once))
        if self.options.form == "pairs":
            rows = pack(text, self._frame, Packing(length=length), key=(_HELD,))
        else:
            found = split_lines(text.tokens, text.sentences, length, unk_id=self._marks.unk_id)
            rows = found.rows(np.argsort(found.sizes, kind="stable"), self._frame)
        names, epoch = np.arange(len(rows.pair)), np.zeros(1, np.int64)
        hidden = corrupt(
            rows.input_ids, names, self._held_marks, Masking(), seed=_HELD, epoch=epoch
        )
        if not hidden.chosen.any():
            raise DataError(
                f"the text of {self._corpora[0].folder} that is held out for evaluation, {len(once)} stretches, is too short "
                f"to score a model on: raise heldout (it is {self.options.heldout}), or give more text"
            )
        return _hidden(rows, hidden)

    def _check_goes_on(self, began: Cursor, now: Cursor) -> None:
        """Raises DataError when a whole reading of every corpus has given no line."""
        before, after = self.epochs(began), self.epochs(now)
        if all(b - a >= 1 for a, b in zip(before, after, strict=True)):
            raise DataError(
                f"{self._corpora[0].folder} has no line to read: all are shorter than 12 tokens with their frame, or "
                "half unknown to the tokenizer. Read it as pairs, or give another corpus"
            )

    def _next(self, cursor: Cursor) -> Cursor:
        _, places = self._mixture.draw(cursor.places, self.options.block)
        return Cursor(cursor.block + 1, 0, places, ())

    def _block(self, cursor: Cursor, of: tuple[int, ...]) -> _Block:
        """The rows of the cursor's block; the last one asked for is at hand."""
        key = (cursor.block, cursor.places, of)
        if self._last is None or self._last[0] != key:
            drawn, _ = self._mixture.draw(cursor.places, self.options.block)
            text = self._text(self._train, drawn)
            made = self._pairs if self.options.form == "pairs" else self._lines
            self._last = (key, made(text, of, cursor.block))
        return self._last[1]

    def _pairs(self, text: Text, of: tuple[int, ...], block: int) -> _Block:
        found = self._packed(text, of, (_PACK, self._seed, block))
        order = np.random.default_rng([_SHUFFLE, self._seed, block]).permutation(len(found.pair))
        return _Pairs(found[order])

    def _lines(self, text: Text, of: tuple[int, ...], block: int) -> _Block:
        length, together, before = of
        found = split_lines(text.tokens, text.sentences, length, unk_id=self._marks.unk_id)
        random = np.random.default_rng([_SHUFFLE, self._seed, block])
        return _Lines(found, order_lines(found, together, before, random), self._frame)

    def _packed(self, text: Text, of: tuple[int, ...], key: tuple[int, ...]) -> PackedRows:
        length, pair = of
        packing = build_config(
            Packing, {**self.options.packing.model_dump(), "length": length, "pair": pair or None}
        )
        return pack(text, self._frame, packing, key=key)

    def _text(self, of: Sequence[Segments], drawn: Sequence[tuple[int, int]]) -> Text:
        """The stretches (corpus, number), each as a document."""
        found = [
            read_segment(self._corpora[corpus], of[corpus], stretch) for corpus, stretch in drawn
        ]
        tokens = np.concatenate([tokens for tokens, _ in found]).astype(np.int32)
        return Text(
            tokens,
            np.concatenate([sizes for _, sizes in found]),
            np.array([len(sizes) for _, sizes in found]),
        )

    def _corrupted(
        self, rows: PackedRows, names: np.ndarray, epoch: np.ndarray, masking: Masking, *, seed: int
    ) -> MaskedRows:
        real = int((rows.pair > 0).sum())
        found = corrupt(
            rows.input_ids,
            names,
            self._marks,
            masking,
            seed=seed,
            epoch=epoch,
            weights=self._weights,
            real=real,
        )
        return _hidden(rows, found)


def _hidden(rows: PackedRows, found: Corruption) -> MaskedRows:
    """Rows with their chosen tokens hidden."""
    target = np.where(found.chosen, rows.input_ids, np.int32(IGNORE))
    real = int((rows.pair > 0).sum())
    return MaskedRows(
        found.input_ids, target, rows.type_ids, rows.positions, rows.pair, rows.order, real
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Packed rows."""

    found: PackedRows

    def __len__(self) -> int:
        return len(self.found.pair)

    def rows(self, start: int, stop: int) -> PackedRows:
        return self.found[start:stop]


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines in their order."""

    found: Lines
    order: np.ndarray
    frame: FrameIds

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, start: int, stop: int) -> PackedRows:
        return self.found.rows(self.order[start:stop], self.frame)


def _check(corpora: Sequence[Shards], options: FeedOptions) -> None:
    if not corpora:
        raise ConfigError("no corpus to read: name at least one folder that 'destila corpus' made")
    if options.weights is None:
        return
    if len(options.weights) != len(corpora):
        raise ConfigError(
            f"{len(options.weights)} weights for {len(corpora)} corpora: give one for each, or none"
        )
    if min(options.weights) <= 0:
        raise ConfigError(
            f"weights {list(options.weights)}: each must be above 0; leave a corpus out instead"
        )


def _counts(corpora: Sequence[Shards], size: int) -> np.ndarray:
    """How often each of `size` pieces occurs, i64 [V]."""
    counts = np.zeros(size, np.int64)
    for corpus in corpora:
        for _, _, tokens in corpus.arrays:
            for start in range(0, len(tokens), _COUNTED):
                counts += np.bincount(tokens[start : start + _COUNTED], minlength=size)
    return counts
