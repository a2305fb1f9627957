"""Examples -> features: tokens with character spans, the unit of every token, and windows.

Classification is truncated (longest text first, as the published systems do) and says how often; tagging is
never truncated: long sentences are read in overlapping windows and each word is answered for once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from destila.errors import DataError, TokenizerError
from destila.plugins import nearest
from destila.tasks.units import Window, plan
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import IGNORE, Encoded, Example, Features

_CHUNK = 4096
"""Examples tokenised at once: bounds memory and keeps the tokenizer's threads busy."""

_LETTERS = 10
"""Characters per token that a text is cut to before it is tokenised; Spanish has 4 to 5."""


def check_length(tokenizer: Tokenizer, max_length: int) -> None:
    """Refuse a window longer than what the tokenizer's model was made for."""
    if tokenizer.max_length and max_length > tokenizer.max_length:
        raise TokenizerError(
            f"max_length = {max_length} but {tokenizer.source} holds at most {tokenizer.max_length} tokens: lower max_length"
        )


def encode_classify(
    examples: Sequence[Example], tokenizer: Tokenizer, labels: Sequence[str], *, max_length: int
) -> Encoded:
    """One window per example, `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`; unit 0 sits at the first token.

    notes: `truncated` examples (longest text first until both fit).
    """
    check_length(tokenizer, max_length)
    ids = {label: i for i, label in enumerate(labels)}
    features: list[Features] = []
    truncated = 0
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        first = _read(chunk, tokenizer, max_length - tokenizer.special_count(False))
        second = iter(tokenizer.text([e.pair for e in chunk if e.pair is not None]))
        for row, (example, a) in enumerate(zip(chunk, first, strict=True), start):
            b = next(second) if example.pair is not None else None
            a, b, cut = _fit(a, b, max_length - tokenizer.special_count(b is not None))
            truncated += cut
            input_ids, type_ids, spans, _ = tokenizer.frame(a, b)
            unit = np.full(len(input_ids), -1, np.int32)
            unit[0] = 0
            target = np.array([_class(example, example.target, ids)], np.int32)
            features.append(
                Features(row, 0, input_ids, type_ids, spans, unit, 0, np.ones(1, bool), target)
            )
    return Encoded(features, {"truncated": truncated})


def _read(examples: Sequence[Example], tokenizer: Tokenizer, room: int) -> list[Pieces]:
    """The tokens of each example's text; of a long one that stands alone only a beginning of more than `room` tokens.

    The beginning ends at a blank, which no tokenizer crosses, so its tokens are those of the whole text.
    """
    ends = [e.text.rfind(" ", 0, _LETTERS * room) if e.pair is None else -1 for e in examples]
    ends = [
        end if len(e.text) > _LETTERS * room else -1 for e, end in zip(examples, ends, strict=True)
    ]
    found = tokenizer.text(
        [e.text if end < 0 else e.text[:end] for e, end in zip(examples, ends, strict=True)]
    )
    short = [i for i, end in enumerate(ends) if end >= 0 and len(found[i].ids) <= room]
    for i, whole in zip(short, tokenizer.text([examples[i].text for i in short]), strict=True):
        found[i] = whole
    return found


def _fit(a: Pieces, b: Pieces | None, room: int) -> tuple[Pieces, Pieces | None, bool]:
    """Both texts cut to `room` tokens together, the longer one first, to the token as transformers does."""
    m, n = len(a.ids), len(b.ids) if b is not None else 0
    if m + n <= room:
        return a, b, False
    half = (room + 1) // 2 if m > n else room // 2  # of an odd room the longer text keeps one more
    m_kept = min(m, max(room - n, half))
    n_kept = min(n, room - m_kept)
    head = Pieces(a.ids[:m_kept], a.spans[:m_kept])
    return head, Pieces(b.ids[:n_kept], b.spans[:n_kept]) if b is not None else None, True


def encode_tag(
    examples: Sequence[Example], tokenizer: Tokenizer, labels: Sequence[str], *, max_length: int
) -> Encoded:
    """Windows over each example's words, every word encoded on its own; a word's unit holds its sub-tokens.

    notes: `windowed` examples (more than one window), `windows`. Raises TokenizerError for a single word
    longer than a window.
    """
    check_length(tokenizer, max_length)
    ids = {label: i for i, label in enumerate(labels)}
    capacity = max_length - tokenizer.special_count(False)
    features: list[Features] = []
    windowed = 0
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        joined = tokenizer.words_joined([(e.text, e.words) for e in chunk])
        for row, (example, (pieces, sizes)) in enumerate(zip(chunk, joined, strict=True), start):
            target = _word_classes(example, ids)
            windows = _windows(example, sizes, capacity, tokenizer)
            windowed += len(windows) > 1
            features += [
                _window(row, n, w, pieces, sizes, target, tokenizer) for n, w in enumerate(windows)
            ]
    return Encoded(features, {"windowed": windowed, "windows": len(features)})


def _windows(
    example: Example, lengths: Sequence[int], capacity: int, tokenizer: Tokenizer
) -> list[Window]:
    try:
        return plan(lengths, capacity)
    except ValueError as error:
        start, end = example.words[error.args[0]]
        raise TokenizerError(
            f"example '{example.id}': the word '{example.text[start:end][:40]}...' has {lengths[error.args[0]]} tokens with "
            f"{tokenizer.source}, a window holds {capacity}: raise max_length or split the word"
        ) from None


def _window(
    row: int,
    number: int,
    window: Window,
    pieces: Pieces,
    sizes: Sequence[int],
    target: np.ndarray,
    tokenizer: Tokenizer,
) -> Features:
    """One window of an example whose words' tokens are `pieces`, `sizes` of each word."""
    inside = sizes[window.start : window.end]
    first = sum(sizes[: window.start])
    last = first + sum(inside)
    input_ids, type_ids, spans, part = tokenizer.frame(
        Pieces(pieces.ids[first:last], pieces.spans[first:last])
    )
    units = np.full(len(input_ids), -1, np.int32)
    units[part == 0] = np.repeat(np.arange(len(inside), dtype=np.int32), inside)
    owned = np.zeros(len(inside), bool)
    owned[window.own_start - window.start : window.own_end - window.start] = True
    mine = np.where(owned, target[window.start : window.end], IGNORE).astype(np.int32)
    return Features(row, number, input_ids, type_ids, spans, units, window.start, owned, mine)


def _word_classes(example: Example, ids: dict[str, int]) -> np.ndarray:
    if example.target is None:
        return np.full(len(example.words), IGNORE, np.int32)
    if len(example.target) != len(example.words):
        raise DataError(
            f"example '{example.id}' has {len(example.words)} words and {len(example.target)} labels"
        )
    return np.array([_class(example, label, ids) for label in example.target], np.int32)


def _class(example: Example, label: object, ids: dict[str, int]) -> int:
    if label is None:
        return IGNORE
    found = ids.get(str(label))
    if found is None:
        raise DataError(
            f"example '{example.id}' has the label '{label}', which is not one of the model's.{nearest(str(label), list(ids))}"
        )
    return found
