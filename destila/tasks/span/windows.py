"""A question and its context -> windows that all tokenizers share, and what each can read of them.

Units are the runs of characters between blanks of the context, exactly as `str.split()` finds them;
unit 0 of a window says "no answer in this window". Windows are planned in units, from the text and
the options alone, so that what a teacher says about a window means the same to every student. A
planned window that a tokenizer cannot hold is read as several features that together cover it.
Only a single unit longer than a window is cut, and a question that leaves no room for its context.

The row of an example joins, over its planned windows, one cell for unit 0 and one for each unit
(`Features.cells`). Ten words in windows of 6, one every 4:

    words     0 1 2 3 4 5 6 7 8 9
    window 0  0 1 2 3 4 5              cells  0 to 6:   unit 0, then words 0 to 5
    window 1          4 5 6 7 8 9      cells  7 to 13:  unit 0, then words 4 to 9
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from destila.errors import ConfigError
from destila.tasks import units
from destila.tasks.classes import check_length
from destila.tasks.span.contexts import (
    PairFrame,
    TokenizedContext,
    fit_question,
    frame_of,
    read_asked,
)
from destila.tasks.span.storage import Head, Writer
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import IGNORE, CharSpan, Encoded, Example

if TYPE_CHECKING:
    from destila.tasks.span.options import SpanOptions


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
    end inside a token`, answers `in no window`, and questions that are `cut` or have words cut.

    Args:
        examples: questions with their contexts, with answers or not.
        tokenizer: of the model.
        max_length: tokens of a window, specials included.
        options: plan of the windows, and what a unit is.

    Raises:
        DataError: a context is missing or blank.
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

    frame = frame_of(tokenizer, max_length)
    notes: Counter[str] = Counter()
    writer = Writer()
    cut: dict[int, str] = {}
    refused: dict[int, str] = {}
    for row, question, context in read_asked(examples, tokenizer):
        # what no window holds is cut, and said
        fitted = fit_question(question, context, frame, examples[row])
        if fitted.cut:
            cut[row] = fitted.cut
        if fitted.refused:
            refused[row] = fitted.refused

        planned = windows(len(context.bounds), size, stride)
        notes["windowed"] += len(planned) > 1
        asked = _Question(row, examples[row], fitted.question, fitted.context, frame, options.unit)
        asked.write(planned, tokenizer, writer, notes)

    notes["windows"] = len(writer)
    for what, rows in (("questions cut", refused), ("contexts with a word cut", cut)):
        if rows:
            notes[what] = len(rows)
    return Encoded(writer.finish(), dict(notes), cut, refused)


def what_is_cut(
    examples: Sequence[Example], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[str]:
    """Yield of each question that no window holds whole what is cut, without making windows."""
    check_length(tokenizer, max_length)
    frame = frame_of(tokenizer, max_length)
    for row, question, context in read_asked(examples, tokenizer):
        fitted = fit_question(question, context, frame, examples[row])
        if fitted.refused or fitted.cut:
            yield f"question '{examples[row].id}': {fitted.refused or fitted.cut}"


@dataclass(frozen=True, slots=True)
class _Question:
    """One question on its way into windows."""

    row: int
    example: Example
    question: Pieces
    context: TokenizedContext
    frame: PairFrame
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
