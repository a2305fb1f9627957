"""A question and its context -> windows that all tokenizers share, and what each can read of them.

Units are the runs of characters between blanks of the context, exactly as `str.split()` finds them;
unit 0 of a window says "no answer in this window". Windows are planned in units, from the text and
the options alone, so that what a teacher says about a window means the same to every student. A
planned window that a tokenizer cannot hold is read as several features that together cover it.
Nothing is cut: a question or a unit that does not fit is an error.

The row of an example joins, over its planned windows, one cell for unit 0 and one for each unit
(`Features.cells`). Ten words in windows of 6, one every 4:

    words     0 1 2 3 4 5 6 7 8 9
    window 0  0 1 2 3 4 5              cells  0 to 6:   unit 0, then words 0 to 5
    window 1          4 5 6 7 8 9      cells  7 to 13:  unit 0, then words 4 to 9
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from destila.errors import ConfigError, DataError, TokenizerError
from destila.tasks import units
from destila.tasks.classes import check_length
from destila.tasks.span.storage import Head, Writer
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import IGNORE, CharSpan, Encoded, Example

if TYPE_CHECKING:
    from destila.tasks.span.options import SpanOptions

_CHUNK = 2048
"""Questions tokenised at once."""

_UNIT = re.compile(r"\S+")
_QUESTION_SHARE = 4
"""One part in so many of a window is kept for the context, however long the question."""


@dataclass(frozen=True, slots=True)
class _Context:
    """A tokenised context.

    longest: the unit of most tokens.
    """

    pieces: Pieces
    bounds: np.ndarray  # i32 [U, 2], characters of its units
    unit: np.ndarray  # i32 [T], the unit of each token, -1 between units
    first: np.ndarray  # i64 [U + 1], the first token of each unit, and the number of tokens
    longest: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """A tokenizer's frame of pairs: how many specials stand before, between and after."""

    before: int
    between: int
    after: int
    max_length: int

    @property
    def room(self) -> int:
        """Tokens of a question and a context that a window holds."""
        return self.max_length - self.before - self.between - self.after


def window_size(max_length: int, options: SpanOptions) -> tuple[int, int]:
    """Return the units in a planned window, and those from one window's start to the next one's.

    Args:
        max_length: tokens of a window; without options a window has half as many units.
        options: of the recipe.

    Raises:
        ConfigError: the stride would skip units.
    """
    size = options.window or max(1, max_length // 2)
    stride = options.stride or max(1, 3 * size // 4)
    if stride > size:
        raise ConfigError(
            f"span.stride = {stride} skips units: windows hold {size}. Lower stride or raise"
            " span.window"
        )
    return size, stride


def windows(count: int, size: int, stride: int) -> list[CharSpan]:
    """Plan windows over `count` units as half-open ranges; the last one ends at the end."""
    last = max(0, -(-(count - size) // stride))
    return [(i * stride, min(i * stride + size, count)) for i in range(last + 1)]


def unit_bounds(context: str) -> np.ndarray:
    """Return the characters i32 [U, 2] of the units of a context, in order."""
    return np.array([match.span() for match in _UNIT.finditer(context)], np.int32).reshape(-1, 2)


def place_answer(spans: np.ndarray, context: str, answer: CharSpan) -> CharSpan | None:
    """Find the first and last of some tokens that hold an answer.

    None when a word of the answer is outside of them. Tokens are whole words, so an answer that is
    cut has a blank between its end and the tokens' end.

    Args:
        spans: characters of consecutive tokens, [T, 2].
        context: the text that they are of.
        answer: characters of the answer.
    """
    # the tokens that overlap it
    start, end = answer
    first = int(np.searchsorted(spans[:, 1], start, "right"))
    last = int(np.searchsorted(spans[:, 0], end, "left")) - 1
    if first > last:
        return None

    # what they leave out on either side may be blanks and parts of characters, not a word
    head, tail = context[start : spans[first, 0]].lstrip(), context[spans[last, 1] : end].rstrip()
    return None if len((head + "|" + tail).split()) > 1 else (first, last)


def encode_span(
    examples: Sequence[Example], tokenizer: Tokenizer, *, max_length: int, options: SpanOptions
) -> Encoded:
    """Encode the windows of every question, `[CLS] question [SEP] part of the context [SEP]`.

    They are stored compactly. The notes count `windows`, `windowed` examples (more than one planned
    window), `narrowed` windows that this tokenizer reads in several parts, answers that `begin or
    end inside a token`, and answers `in no window`.

    Args:
        examples: questions with their contexts, with answers or not.
        tokenizer: of the model.
        max_length: tokens of a window, specials included.
        options: plan of the windows, and what a unit is.

    Raises:
        DataError: a context is missing or blank.
        TokenizerError: a question or a unit does not fit.
        ConfigError: the tokenizer or the stride makes the plan impossible.
    """
    # the plan is the same for every tokenizer, so each must read at least one stride at once
    check_length(tokenizer, max_length)
    size, stride = window_size(max_length, options)
    if max_length < stride:
        raise ConfigError(
            f"a window of {tokenizer.source} holds {max_length} tokens, fewer than the stride of"
            f" {stride} units: lower span.window and span.stride, or raise max_length"
        )

    frame = _frame(tokenizer, max_length)
    notes: Counter[str] = Counter()
    writer = Writer()
    for row, question, context in _read(examples, tokenizer, frame):
        planned = windows(len(context.bounds), size, stride)
        notes["windowed"] += len(planned) > 1

        asked = _Question(row, examples[row], question, context, frame, options.unit)
        asked.write(planned, tokenizer, writer, notes)

    notes["windows"] = len(writer)
    return Encoded(writer.finish(), dict(notes))


def check_fit(examples: Sequence[Example], tokenizer: Tokenizer, *, max_length: int) -> None:
    """Raise what `encode_span` would raise for these questions, without making their windows."""
    check_length(tokenizer, max_length)
    for _ in _read(examples, tokenizer, _frame(tokenizer, max_length)):
        pass


def _read(
    examples: Sequence[Example], tokenizer: Tokenizer, frame: _Frame
) -> Iterator[tuple[int, Pieces, _Context]]:
    """Yield row, question and context of every example, tokenised in chunks and known to fit."""
    # a context of many questions is tokenised once, and kept until its last question
    contexts: dict[str, _Context] = {}
    last_use = {e.pair: row for row, e in enumerate(examples)}
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        contexts |= _read_contexts(chunk, contexts, tokenizer)
        questions = tokenizer.text([e.text for e in chunk])
        for row, (example, question) in enumerate(zip(chunk, questions, strict=True), start):
            context = contexts[example.pair or ""]
            _check_fit(example, question, context, frame, tokenizer)
            yield row, question, context

        contexts = {text: c for text, c in contexts.items() if last_use[text] >= start + _CHUNK}


@dataclass(frozen=True, slots=True)
class _Question:
    """One question on its way into windows."""

    row: int
    example: Example
    question: Pieces
    context: _Context
    frame: _Frame
    rule: str  # `SpanOptions.unit`

    def write(
        self, planned: Sequence[CharSpan], tokenizer: Tokenizer, writer: Writer, notes: Counter[str]
    ) -> None:
        """Write every feature of every planned window, and count.

        Args:
            planned: units [start, end) of each window.
            tokenizer: frames the features.
            writer: takes them.
            notes: counts of `encode_span`, which grow.
        """
        low, held = 0, False  # the window's first cell; whether any feature holds the answer
        for number, (start, end) in enumerate(planned):
            parts = self._parts(start, end)
            notes["narrowed"] += len(parts) > 1

            high = low + self._cells(start, end)
            for part in parts:
                held |= self._feature(number, (start, end), part, (low, high), tokenizer, writer)
            low = high

        if self.example.answers:
            notes["answers in no window"] += not held
            notes["answers that begin or end inside a token"] += self._inside_token(
                self.example.answers[0]
            )

    def _parts(self, start: int, end: int) -> list[CharSpan]:
        """Cut the units of a planned window into ranges that fit."""
        # what the question leaves of a window
        first, room = self.context.first, self.frame.room - len(self.question.ids)
        if first[end] - first[start] <= room:
            return [(start, end)]

        # else windows inside the window, which overlap
        lengths = np.diff(first[start : end + 1]).tolist()
        return [(start + w.start, start + w.end) for w in units.plan(lengths, room)]

    def _cells(self, start: int, end: int) -> int:
        """Count the cells of a planned window: unit 0 and what the rule calls a unit."""
        tokens = int(self.context.first[end] - self.context.first[start])
        if self.rule == "position":
            frame = self.frame
            return frame.before + len(self.question.ids) + frame.between + tokens + frame.after
        return 1 + (end - start if self.rule == "unit" else tokens)

    def _feature(
        self,
        number: int,
        planned: CharSpan,
        part: CharSpan,
        cells: CharSpan,
        tokenizer: Tokenizer,
        writer: Writer,
    ) -> bool:
        """Write a feature; tell whether it holds the answer.

        Args:
            number: of the planned window.
            planned: its units [start, end).
            part: those that this feature reads.
            cells: those [low, high) of the planned window in the example's row.
            tokenizer: frames the feature.
            writer: takes it.
        """
        # T tokens of the context, framed with the question to L tokens
        (start, end), context = part, self.context
        a, b = int(context.first[start]), int(context.first[end])
        spans = context.pieces.spans[a:b]  # [T, 2]
        pieces = Pieces(context.pieces.ids[a:b], spans)
        input_ids, type_ids, all_spans, _ = tokenizer.frame(self.question, pieces)
        lead = self.frame.before + len(self.question.ids) + self.frame.between

        # which unit each token belongs to
        length = len(input_ids)
        unit = np.full(length, -1, np.int32)  # [L]
        if self.rule == "position":
            unit[:] = np.arange(length)
        elif self.rule == "token":
            unit[lead : lead + b - a] = np.arange(1, b - a + 1)
            unit[0] = 0
        else:
            owner = context.unit[a:b]
            unit[lead : lead + b - a] = np.where(owner >= 0, owner - start + 1, -1)
            unit[0] = 0

        # how many units stand before, in and behind the context, and where its first one stands
        if self.rule == "position":
            before, count, after, first = lead, b - a, self.frame.after, lead
        elif self.rule == "token":
            before, count, after, first = 1, b - a, 0, a
        else:
            before, count, after, first = 1, end - start, 0, start
        tokens_skipped = a - int(context.first[planned[0]])
        skipped = start - planned[0] if self.rule == "unit" else tokens_skipped

        # the tokens of the answer; the first token where this part does not hold it
        target, ends = (IGNORE, IGNORE), None
        if self.example.answers is not None:
            answer = self.example.answers[0] if self.example.answers else None
            ends = place_answer(spans, self.example.pair or "", answer) if answer else None
            target = (ends[0] + lead, ends[1] + lead) if ends else (0, 0)

        head = Head(
            row=self.row,
            window=number,
            start=first,
            low=cells[0],
            high=cells[1],
            before=before,
            skipped=skipped,
            units=count,
            after=after,
            first=target[0],
            last=target[1],
            length=length,
        )
        writer.add(head, input_ids, type_ids, unit, all_spans)
        return ends is not None

    def _inside_token(self, answer: CharSpan) -> bool:
        """Tell whether an answer begins or ends inside a token, so that no pair of tokens is it."""
        spans = self.context.pieces.spans
        ends = place_answer(spans, self.example.pair or "", answer)
        return ends is not None and bool(
            spans[ends[0], 0] < answer[0] or spans[ends[1], 1] > answer[1]
        )


def _read_contexts(
    chunk: Sequence[Example], known: dict[str, _Context], tokenizer: Tokenizer
) -> dict[str, _Context]:
    """Tokenise the contexts that are not known yet; raise DataError for a blank one."""
    for example in chunk:
        if not example.pair or example.pair.isspace():
            raise DataError(
                f"question '{example.id}' has no context to find its answer in: give one or drop it"
            )

    new = list(dict.fromkeys(e.pair for e in chunk if e.pair is not None and e.pair not in known))
    return {
        text: _context(text, pieces) for text, pieces in zip(new, tokenizer.text(new), strict=True)
    }


def _context(text: str, pieces: Pieces) -> _Context:
    """Find the units of a tokenised context, and the tokens of each."""
    # a token is of the last unit that begins at or before it, unless that unit has ended
    bounds = unit_bounds(text)  # [U, 2]
    starts = pieces.spans[:, 0]  # [T]
    owner = np.searchsorted(bounds[:, 0], starts, "right") - 1  # [T]
    unit = np.where((owner >= 0) & (starts < bounds[owner, 1]), owner, -1).astype(np.int32)

    # a token between two units is read with the one before it
    first = np.searchsorted(np.maximum(owner, 0), np.arange(len(bounds) + 1))  # [U + 1]
    return _Context(pieces, bounds, unit, first, int(np.argmax(np.diff(first))))


def _frame(tokenizer: Tokenizer, max_length: int) -> _Frame:
    """Find out where a tokenizer puts its specials, from a pair of one token each."""
    one = Pieces(np.zeros(1, np.int32), np.zeros((1, 2), np.int32))
    part = tokenizer.frame(one, one)[3].tolist()
    a, b = part.index(0), part.index(1)
    return _Frame(a, b - a - 1, len(part) - b - 1, max_length)


def _check_fit(
    example: Example, question: Pieces, context: _Context, frame: _Frame, tokenizer: Tokenizer
) -> None:
    """Raise TokenizerError for a question or a word of its context that does not fit a window."""
    room = frame.room - max(1, frame.max_length // _QUESTION_SHARE)
    if len(question.ids) > room:
        raise TokenizerError(
            f"question '{example.id}' has {len(question.ids)} tokens with {tokenizer.source}; of"
            f" {frame.max_length} a question may take {room} (a quarter is for the context): raise"
            " max_length or shorten the question"
        )

    # beside the question there must be room for the longest word
    room = frame.room - len(question.ids)
    first, last = context.first[context.longest : context.longest + 2].tolist()
    if last - first > room:
        left, right = context.bounds[context.longest].tolist()
        raise TokenizerError(
            f"question '{example.id}': '{(example.pair or '')[left:right][:40]}...' in its context"
            f" has {last - first} tokens with {tokenizer.source}, a window has room for {room}:"
            " raise max_length"
        )
