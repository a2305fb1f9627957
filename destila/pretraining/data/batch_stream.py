"""Batches of masked, packed text from corpora on disk, as a pure function of a small cursor.

    corpora -> segments (segments.py) -> their order, mixed (mixture.py)
    -> blocks of about 131,072 tokens -> rows (packing.py, or sentence_rows.py) in a random order
    -> a batch, corrupted (masking.py)

Nothing is random but by a key: a cursor gives the same batch whenever and in whatever order it is
taken, also by another process, so that a run goes on where it was killed. A text that is read again
is packed and masked anew.
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
from destila.pretraining.data.packing import (
    FrameIds,
    PackedRows,
    Packing,
    PlannedRows,
    Text,
    pack,
    plan_rows,
    stack_rows,
)
from destila.pretraining.data.segments import (
    Segments,
    count_corpus_pieces,
    cut_segments,
    is_held_out,
    read_segments,
)
from destila.pretraining.data.sentence_rows import Lines, order_lines, split_lines
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_marks import read_word_marks
from destila.types import IGNORE

_PACK, _SHUFFLE, _HELD = 2, 3, 4  # of the keys that draws depend on; 1 is the mixture's


class FeedOptions(Options):
    """What is read, how it is laid out and what is hidden."""

    weights: tuple[float, ...] | None = opt(
        None,
        "one number per corpus, its share of the tokens that are read; "
        "none = each is read equally often",
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
    """Where a reader stands; `dataclasses.asdict` makes it JSON, `Cursor(**json)` restores it.

    block: its number. row: the next one in it. places: segments drawn of each corpus before the
    block. cut: what the block's rows depend on beside these; () before the first.
    """

    block: int
    row: int
    places: tuple[int, ...]
    cut: tuple[int, ...]

    def __post_init__(self) -> None:
        """Turn the lists that JSON knows into tuples."""
        object.__setattr__(self, "places", tuple(self.places))
        object.__setattr__(self, "cut", tuple(self.cut))


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """A batch of R rows of L tokens, i32 [R, L] each.

    A lone row of five tokens as an example:

        input_ids   CLS  la  MASK  SEP  pad
        target       -    -   niña  -    -      the original at chosen tokens, else IGNORE (-)
        pair         1    1    1    1    0

    type_ids, positions, pair, order: as in `packing.PackedRows`.
    tokens: those that are no padding, here 4.
    """

    input_ids: np.ndarray
    target: np.ndarray
    type_ids: np.ndarray
    positions: np.ndarray
    pair: np.ndarray
    order: np.ndarray
    tokens: int

    def part(self, first: int, every: int) -> MaskedRows:
        """Return every so many of the rows, from one on."""
        rows = slice(first, None, every)
        pair = self.pair[rows]
        texts = self.input_ids[rows], self.target[rows], self.type_ids[rows], self.positions[rows]
        return MaskedRows(*texts, pair, self.order[rows], int((pair > 0).sum()))


class _Block(Protocol):
    """The rows of one block, in the order in which they are read."""

    def __len__(self) -> int: ...

    def rows(self, which: np.ndarray) -> PackedRows: ...


class BatchStream:
    """Batches of corpora that one tokenizer has made; its `take` is for one thread at a time."""

    def __init__(
        self,
        corpora: Sequence[Shards],
        tokenizer: Tokenizer,
        options: FeedOptions,
        *,
        seed: int,
    ) -> None:
        """Cut the corpora into segments and hold some out.

        Raises:
            DataError: a corpus is empty.
            ConfigError: there is no corpus, or the weights do not fit them.
        """
        _check(corpora, options)
        self.options, self._seed = options, seed
        self._corpora = corpora
        self._marks = read_word_marks(tokenizer, options.masking.words)
        self._held_marks = read_word_marks(tokenizer, Masking().words)
        self._frame = FrameIds(tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id)

        self._train: list[Segments] = []
        self._held: list[Segments] = []
        for corpus in corpora:
            segments = cut_segments(corpus, options.stretch)
            apart = is_held_out(segments, options.heldout)
            self._train.append(segments[~apart])
            self._held.append(segments[apart])
        sizes = [segments.tokens for segments in self._train]
        self._mixture = Mixture(sizes, options.weights, seed=seed)

        # Smoothing needs to know how rare each piece is.
        self._weights = None
        if options.masking.smoothing:
            counts = count_corpus_pieces(corpora, tokenizer.vocab_size)
            self._weights = piece_weights(counts, self._marks, options.masking.smoothing)
        self._last: tuple[tuple[object, ...], _Block] | None = None
        self._drawn: tuple[tuple[int, ...], np.ndarray, tuple[int, ...]] | None = None

    def start(self) -> Cursor:
        """Return the cursor of the first batch."""
        return Cursor(0, 0, (0,) * len(self._corpora), ())

    def epochs(self, cursor: Cursor) -> tuple[float, ...]:
        """Tell how often each corpus had been read when the cursor's block began."""
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
        share: tuple[int, int] = (0, 1),
    ) -> tuple[MaskedRows, Cursor]:
        """Take the batch at a cursor, and the cursor behind it.

        Rows of a block that were cut for another length, pair or number of lines are passed over.

        Args:
            cursor: where to read on.
            rows: rows of the batch.
            length: tokens of a row; lines are padded to their longest.
            rate: share of tokens to mask; None = that of the options.
            pair: longest pair in tokens; None = that of the options.
            together: lines that are computed together, and so of nearly one length; None = all of
                the batch.
            share: (k, n): of the batch only the rows k, k + n, k + 2 n..., one at least. The others
                are neither written nor masked; only which pairs they hold is decided.

        Raises:
            DataError: no line can be read.
        """
        # What a block's rows are cut for.
        pairs = self.options.form == "pairs"
        of_rows = (pair or self.options.packing.pair or 0) if pairs else (together or rows)
        shape = (length, of_rows)
        if cursor.row and cursor.cut[:2] != shape:
            cursor = self._next_block(cursor)

        masking = self.options.masking
        first, every = (0, 1) if masking.smoothing else share  # drawn over the whole batch
        # Read on, from block to block, until the batch has its rows: by number and block.
        numbers, blocks, parts = list[np.ndarray](), list[np.ndarray](), list[PackedRows]()
        missing, began = rows, cursor
        while missing:
            cut = cursor.cut
            if not cursor.row:
                cut = shape if pairs else (*shape, missing % shape[1])
            block = self._block(cursor, cut)
            stop = min(cursor.row + missing, len(block))
            own = np.arange(cursor.row + (first - (rows - missing)) % every, stop, every)
            if len(own):
                numbers.append(own)
                blocks.append(np.full(len(own), cursor.block))
                parts.append(block.rows(own))
            missing -= max(0, stop - cursor.row)
            if missing == rows:
                self._check_goes_on(began, cursor)
            cursor = Cursor(cursor.block, stop, cursor.places, cut)
            if missing:
                cursor = self._next_block(cursor)

        # A row is named by its number and its block, so it is masked alike in any batch.
        if rate is not None:
            masking = masking.model_copy(update={"rate": rate})
        whole = stack_rows(parts, self._frame.pad)
        corruption = corrupt(
            whole.input_ids,
            np.concatenate(numbers),
            self._marks,
            masking,
            seed=self._seed,
            epoch=np.concatenate(blocks),
            weights=self._weights,
            real=int((whole.pair > 0).sum()),
        )
        hidden = _hide(whole, corruption)
        return hidden.part(*share) if masking.smoothing else hidden, cursor

    def heldout(self, *, length: int, tokens: int) -> MaskedRows:
        """Return text that is never trained on: the same whatever the seed.

        It is masked and packed by the defaults, not by the options, so that runs that differ in
        these can be compared. Lines come by length.

        Args:
            length: tokens of a row.
            tokens: about so many tokens, or all there are.

        Raises:
            DataError: nothing is held out, or too little.
        """
        some = [corpus for corpus, segments in enumerate(self._held) if len(segments)]
        if not some:
            raise DataError(
                f"nothing of {self._corpora[0].folder} is held out for evaluation: set heldout "
                f"above 0 (it is {self.options.heldout}), or a stretch below "
                f"{self.options.stretch} if the corpus is one document"
            )

        # Draw by the same weights as in training; no segment twice.
        weights = None
        if self.options.weights is not None:
            weights = [self.options.weights[corpus] for corpus in some]
        mixture = Mixture([self._held[corpus].tokens for corpus in some], weights, seed=_HELD)
        drawn, _ = mixture.draw((0,) * len(some), tokens)
        once = dict.fromkeys((some[corpus], segment) for corpus, segment in drawn.tolist())
        text = read_segments(self._corpora, self._held, np.array(list(once)))

        # Set as rows and mask them.
        if self.options.form == "pairs":
            rows = pack(text, self._frame, Packing(length=length), key=(_HELD,))
        else:
            lines = split_lines(text.tokens, text.sentences, length, unk_id=self._marks.unk_id)
            rows = lines.rows(np.argsort(lines.sizes, kind="stable"), self._frame)
        numbers, epoch = np.arange(len(rows.pair)), np.zeros(1, np.int64)
        corruption = corrupt(
            rows.input_ids, numbers, self._held_marks, Masking(), seed=_HELD, epoch=epoch
        )
        if not corruption.chosen.any():
            raise DataError(
                f"the text of {self._corpora[0].folder} that is held out for evaluation, "
                f"{len(once)} stretches, is too short to score a model on: raise heldout "
                f"(it is {self.options.heldout}), or give more text"
            )

        return _hide(rows, corruption)

    def _check_goes_on(self, began: Cursor, now: Cursor) -> None:
        """Raise DataError when a whole reading of every corpus has given no line."""
        before, after = self.epochs(began), self.epochs(now)
        if all(b - a >= 1 for a, b in zip(before, after, strict=True)):
            raise DataError(
                f"{self._corpora[0].folder} has no line to read: all are shorter than 12 tokens "
                "with their frame, or half unknown to the tokenizer. Read it as pairs, or give "
                "another corpus"
            )

    def _next_block(self, cursor: Cursor) -> Cursor:
        _, places = self._draw(cursor.places)
        return Cursor(cursor.block + 1, 0, places, ())

    def _draw(self, places: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
        """Draw a block's segments, and the places behind them; those drawn last are at hand."""
        if self._drawn is None or self._drawn[0] != places:
            self._drawn = (places, *self._mixture.draw(places, self.options.block))
        return self._drawn[1:]

    def _block(self, cursor: Cursor, cut: tuple[int, ...]) -> _Block:
        """Return the rows of the cursor's block; the block read last is at hand."""
        key = (cursor.block, cursor.places, cut)
        if self._last is None or self._last[0] != key:
            drawn, _ = self._draw(cursor.places)
            text = read_segments(self._corpora, self._train, drawn)
            build = self._pairs if self.options.form == "pairs" else self._lines
            self._last = (key, build(text, cut, cursor.block))
        return self._last[1]

    def _pairs(self, text: Text, cut: tuple[int, ...], block: int) -> _Block:
        """Plan the rows of a block's text and shuffle them."""
        length, pair = cut
        settings = self.options.packing.model_dump() | {"length": length, "pair": pair or None}
        packing = build_config(Packing, settings)
        planned = plan_rows(text, packing, key=(_PACK, self._seed, block))
        random = np.random.default_rng([_SHUFFLE, self._seed, block])
        return _PairBlock(planned, random.permutation(len(planned)), self._frame)

    def _lines(self, text: Text, cut: tuple[int, ...], block: int) -> _Block:
        """Split a block's text into lines and put those of nearly one length together."""
        length, together, before = cut
        lines = split_lines(text.tokens, text.sentences, length, unk_id=self._marks.unk_id)
        random = np.random.default_rng([_SHUFFLE, self._seed, block])
        return _LineBlock(lines, order_lines(lines, together, before, random), self._frame)


def _hide(rows: PackedRows, corruption: Corruption) -> MaskedRows:
    """Hide the chosen tokens of some rows."""
    return MaskedRows(
        input_ids=corruption.input_ids,
        target=np.where(corruption.chosen, rows.input_ids, np.int32(IGNORE)),
        type_ids=rows.type_ids,
        positions=rows.positions,
        pair=rows.pair,
        order=rows.order,
        tokens=int((rows.pair > 0).sum()),
    )


@dataclass(frozen=True, slots=True)
class _PairBlock:
    """Rows of pairs in their order, written only when they are read."""

    planned: PlannedRows
    order: np.ndarray
    frame: FrameIds

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, which: np.ndarray) -> PackedRows:
        return self.planned.rows(self.order[which], self.frame)


@dataclass(frozen=True, slots=True)
class _LineBlock:
    """Lines in their order, padded only when they are read."""

    lines: Lines
    order: np.ndarray
    frame: FrameIds

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, which: np.ndarray) -> PackedRows:
        return self.lines.rows(self.order[which], self.frame)


def _check(corpora: Sequence[Shards], options: FeedOptions) -> None:
    if not corpora:
        raise ConfigError("no corpus to read: name at least one folder that 'destila corpus' made")
    if options.weights is not None and len(options.weights) != len(corpora):
        raise ConfigError(
            f"{len(options.weights)} weights for {len(corpora)} corpora: give one for each, or none"
        )
    if options.weights is not None and min(options.weights) <= 0:
        raise ConfigError(
            f"weights {list(options.weights)}: each must be above 0; leave a corpus out instead"
        )
