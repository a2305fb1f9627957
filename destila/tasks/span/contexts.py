"""A question beside its context: tokenised, and cut where no window would hold them.

Units are the runs of characters between blanks of the context, exactly as `str.split()` finds them.
Two things may not fit, whatever the plan of windows: a unit longer than what the question leaves of
a window is read by its beginning, and of a question that would leave its context less than a
quarter of a window only the beginning is left, which training reads and nobody is answered by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from destila.errors import DataError
from destila.tasks import units
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Example

_CHUNK = 2048
"""Questions tokenised at once."""

_UNIT = re.compile(r"\S+")
_QUESTION_SHARE = 4
"""One part in so many of a window is kept for the context, however long the question."""


@dataclass(frozen=True, slots=True)
class TokenizedContext:
    """A tokenised context.

    longest: the unit of most tokens.
    """

    pieces: Pieces
    bounds: np.ndarray  # i32 [U, 2], characters of its units
    unit: np.ndarray  # i32 [T], the unit of each token, -1 between units
    first: np.ndarray  # i64 [U + 1], the first token of each unit, and the number of tokens
    longest: int


@dataclass(frozen=True, slots=True)
class PairFrame:
    """A tokenizer's frame of pairs: how many specials stand before, between and after."""

    before: int
    between: int
    after: int
    max_length: int

    @property
    def room(self) -> int:
        """Tokens of a question and a context that a window holds."""
        return self.max_length - self.before - self.between - self.after


def unit_bounds(context: str) -> np.ndarray:
    """Return the characters i32 [U, 2] of the units of a context, in order."""
    return np.array([match.span() for match in _UNIT.finditer(context)], np.int32).reshape(-1, 2)


def read_asked(
    examples: Sequence[Example], tokenizer: Tokenizer
) -> Iterator[tuple[int, Pieces, TokenizedContext]]:
    """Yield row, question and context of every example, tokenised in chunks."""
    # a context of many questions is tokenised once, and kept until its last question
    contexts: dict[str, TokenizedContext] = {}
    last_use = {e.pair: row for row, e in enumerate(examples)}
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        contexts |= _read_contexts(chunk, contexts, tokenizer)
        questions = tokenizer.text([e.text for e in chunk])
        for row, (example, question) in enumerate(zip(chunk, questions, strict=True), start):
            yield row, question, contexts[example.pair or ""]

        contexts = {text: c for text, c in contexts.items() if last_use[text] >= start + _CHUNK}


def _read_contexts(
    chunk: Sequence[Example], known: dict[str, TokenizedContext], tokenizer: Tokenizer
) -> dict[str, TokenizedContext]:
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


def _context(text: str, pieces: Pieces) -> TokenizedContext:
    """Find the units of a tokenised context, and the tokens of each."""
    # a token is of the last unit that begins at or before it, unless that unit has ended
    bounds = unit_bounds(text)  # [U, 2]
    starts = pieces.spans[:, 0]  # [T]
    owner = np.searchsorted(bounds[:, 0], starts, "right") - 1  # [T]
    unit = np.where((owner >= 0) & (starts < bounds[owner, 1]), owner, -1).astype(np.int32)

    # a token between two units is read with the one before it
    first = np.searchsorted(np.maximum(owner, 0), np.arange(len(bounds) + 1))  # [U + 1]
    return TokenizedContext(pieces, bounds, unit, first, int(np.argmax(np.diff(first))))


def frame_of(tokenizer: Tokenizer, max_length: int) -> PairFrame:
    """Find out where a tokenizer puts its specials, from a pair of one token each."""
    one = Pieces(np.zeros(1, np.int32), np.zeros((1, 2), np.int32))
    part = tokenizer.frame(one, one)[3].tolist()
    a, b = part.index(0), part.index(1)
    return PairFrame(a, b - a - 1, len(part) - b - 1, max_length)


@dataclass(frozen=True, slots=True)
class FittedQuestion:
    """A question and its context, of which every unit fits a window beside the question.

    cut: in words, what of the context is not read, "" for nothing.
    refused: why the question cannot be answered, "" if it can.
    """

    question: Pieces
    context: TokenizedContext
    cut: str = ""
    refused: str = ""


def fit_question(
    question: Pieces, context: TokenizedContext, frame: PairFrame, example: Example
) -> FittedQuestion:
    """Cut a question that leaves its context too little room, and words longer than the room."""
    most = frame.room - max(1, frame.max_length // _QUESTION_SHARE)
    refused, cut = "", ""
    if len(question.ids) > most:
        refused = (
            f"the question has {len(question.ids):,} tokens; of {frame.max_length} it may take "
            f"{most}, a quarter is for the context: shorten it"
        )
        question = Pieces(question.ids[:most], question.spans[:most])

    # beside the question there must be room for the longest word
    room = frame.room - len(question.ids)
    lengths = np.diff(context.first)  # [U]
    if (longest := int(lengths[context.longest])) > room:
        start, end = context.bounds[context.longest].tolist()
        cut = (
            f"the word '{(example.pair or '')[start:end][:40]}...' in the context has "
            f"{longest:,} tokens, more than a window holds: only its beginning was read"
        )
        context = _cut_context(context, lengths, room)
    return FittedQuestion(question, context, cut, refused)


def _cut_context(context: TokenizedContext, lengths: np.ndarray, room: int) -> TokenizedContext:
    """Return a context whose units are cut where they are longer than the room.

    Args:
        context: as it was tokenised.
        lengths: tokens of each unit, [U].
        room: tokens that a window holds beside the question.
    """
    left, kept = units.cut_units(lengths.tolist(), room)
    first = np.concatenate([[0], np.cumsum(kept)])  # [U + 1]
    return TokenizedContext(
        Pieces(context.pieces.ids[left], context.pieces.spans[left]),
        context.bounds,
        context.unit[left],
        first,
        int(np.argmax(kept)),
    )
