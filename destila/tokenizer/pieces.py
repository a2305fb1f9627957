"""The tokens of one text or word, each with its span of the text; how they are joined and cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from destila.types import CharSpan


@dataclass(frozen=True, slots=True)
class Pieces:
    """Tokens of one text or word without specials.

    ids: i32 [n].
    spans: i32 [n, 2] in code points of the original text, blanks cut off at both ends. The tokens
        of one character share its span; a token that is only a word-start mark has an empty span
        where its word starts.
    """

    ids: np.ndarray
    spans: np.ndarray


_HALVES = ("`", "'")
NO_PIECES = Pieces(np.empty(0, np.int32), np.empty((0, 2), np.int32))


def join_pieces(words: Sequence[Pieces], places: Sequence[CharSpan]) -> tuple[Pieces, list[int]]:
    """Put the tokens of words in a row, with spans moved to where the words stand.

    Args:
        words: tokens of each word, with spans into the word.
        places: where the words stand in the text.

    Returns:
        the tokens, and how many of them each word has.
    """
    if not words:
        return NO_PIECES, []
    sizes = [len(word.ids) for word in words]
    starts = np.repeat(np.array([start for start, _ in places], np.int32), sizes)  # [n]
    ids = np.concatenate([word.ids for word in words])  # [n]
    spans = np.concatenate([word.spans for word in words])  # [n, 2]
    return Pieces(ids, spans + starts[:, None]), sizes


def split_pieces(pieces: Pieces, sizes: Sequence[int]) -> Iterator[Pieces]:
    """Cut tokens in a row into those of each word, which has as many as `sizes` says."""
    for end, size in zip(accumulate(sizes), sizes, strict=True):
        yield Pieces(pieces.ids[end - size : end], pieces.spans[end - size : end])


def trim_spans(text: str, offsets: Sequence[CharSpan]) -> np.ndarray:
    """Return spans i32 [n, 2] without the blanks at their ends."""
    spans = []
    for start, end in offsets:
        token = text[start:end]
        if len(token.strip()) < len(token):
            start += len(token) - len(token.lstrip())
            end = max(start, end - len(token) + len(token.rstrip()))
        spans.append((start, end))
    return np.array(spans, np.int32).reshape(-1, 2)


def cover_quotes(text: str, spans: np.ndarray) -> None:
    """Extend spans, in place, over the first half of quotes of two characters, `` or ''.

    Normalisers write them as one `"`, whose span is that of the second half alone.
    """
    end = 0
    for i, (start, stop) in enumerate(spans.tolist()):
        quote = text[start : start + 1]
        if end < start and quote in _HALVES and text[start - 1] == quote:
            spans[i, 0] = start - 1
        end = max(end, stop)


def cover_combining(text: str, spans: np.ndarray) -> None:
    """Extend spans, in place, over combining accents that composition swallowed.

    `e` and the accent after it are one piece, whose span is that of `e` alone.
    """
    # few texts have a character so far behind the letters, where combining accents begin
    if max(text, default="") < "\u0300":
        return
    limits = [*spans[1:, 0].tolist(), len(text)]
    for i, limit in enumerate(limits[: len(spans)]):
        start, end = spans[i].tolist()
        while start < end < limit and unicodedata.combining(text[end]):
            end += 1
        spans[i, 1] = end
