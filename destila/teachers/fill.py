"""Words masked whole and filled by a masked language model: texts that read alike and are new to the student.

One mask stands for a word, however many tokens it has, and is filled by a token that is a word of its own (found by
encoding what the token spells); so a text keeps its number of words, as tagging needs. Of the `top` likeliest such
words, without the one that was there, one is drawn by its probability. Capitals are kept as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from destila.errors import ModelError
from destila.models.mlm import MaskedModel
from destila.teachers.augment import Edit, Random, apply_edits, text_generators
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.batches import collate
from destila.types import CharSpan, Example, Features

_BATCH = 64
_LETTERS = "aeouy"
"""Spanish words of one letter; other letters alone are pieces of words."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One text of an example: its words, its tokens with masks, and which words are masked, in order."""

    text: str
    words: Sequence[CharSpan]
    pieces: Pieces
    masked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Masked:
    example: Example
    copy: int
    random: Random
    sides: tuple[_Side, ...]
    features: Features


def fill_words(
    examples: Sequence[Example],
    model: MaskedModel,
    tokenizer: Tokenizer,
    *,
    copies: int,
    share: float,
    top: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """Examples without targets, at most `copies` of each, with `share` of their words (at least one) exchanged.

    Texts without a word that can be masked are left out; words beyond what the model reads stay. progress: called with
    (texts done, texts in all). Raises ModelError for a tokenizer without a mask token or without whole words.
    """
    if tokenizer.mask_id is None:
        raise ModelError(
            f"{tokenizer.source} has no mask token: give a masked language model with its own tokenizer"
        )
    ids, words = whole_words(tokenizer)
    if len(ids) < 2:
        raise ModelError(
            f"{tokenizer.source} has no tokens that are whole words, so no mask can be filled"
        )
    room = min(model.config.max_length, tokenizer.max_length or model.config.max_length)
    plans = [
        plan
        for copy, i, random in text_generators(examples, copies, seed)
        if (plan := _mask(examples[i], copy, random, tokenizer, share, room)) is not None
    ]
    order = sorted(range(len(plans)), key=lambda i: len(plans[i].features.input_ids))
    made: dict[int, Example] = {}
    table = torch.from_numpy(ids)
    model.eval()
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = collate([plans[i].features for i in chosen], tokenizer.pad_id)
        with torch.inference_mode():
            logits = model.at(batch, batch.input_ids == tokenizer.mask_id)[:, table]
            best = logits.topk(
                min(top + 1, len(ids))
            )  # one more, because the word that was there does not count
        values, places, row = best.values.numpy(), best.indices.numpy(), 0
        for i in chosen:
            count = sum(len(side.masked) for side in plans[i].sides)
            made[i] = _filled(plans[i], values[row : row + count], places[row : row + count], words)
            row += count
        if progress is not None:
            progress(start + len(chosen), len(plans))
    return [made[i] for i in range(len(plans))]


def whole_words(tokenizer: Tokenizer) -> tuple[np.ndarray, list[str]]:
    """Tokens that are a whole word of letters: ids i64 [N] and what they spell; found by encoding it again."""
    spelt = {
        i: text.strip("▁Ġ \t\n")
        for i, text in enumerate(tokenizer.spell(range(tokenizer.vocab_size)))
    }
    letters = {
        i: text
        for i, text in spelt.items()
        if text.isalpha() and (len(text) > 1 or text.lower() in _LETTERS)
    }
    pieces = tokenizer.words_many((text, [(0, len(text))]) for text in letters.values())
    found = {
        i: text
        for (i, text), [p] in zip(letters.items(), pieces, strict=True)
        if p.ids.tolist() == [i]
    }
    return np.array(list(found), np.int64), list(found.values())


def _mask(
    example: Example, copy: int, random: Random, tokenizer: Tokenizer, share: float, room: int
) -> _Masked | None:
    """The example with some words masked; None when none can be, or when a mask already stands in it."""
    texts = [example.text] if example.pair is None else [example.text, example.pair]
    pieces = tokenizer.text(texts)
    if any(tokenizer.mask_id in p.ids for p in pieces):
        return None
    places = [example.words or split_words(example.text), *(split_words(t) for t in texts[1:])]
    left = room - tokenizer.special_count(len(texts) == 2)
    second = min(len(pieces[-1].ids), left // 2) if len(texts) == 2 else 0
    limits = [left - second, second]
    tokens = [
        _tokens_of(t, w, p, n) for t, w, p, n in zip(texts, places, pieces, limits, strict=False)
    ]
    free = [(side, word) for side, known in enumerate(tokens) for word in known]
    if not free:
        return None
    letters = sum(
        any(c.isalpha() for c in t[a:b]) for t, w in zip(texts, places, strict=True) for a, b in w
    )
    count = min(len(free), max(1, round(share * letters)))
    drawn = sorted(free[i] for i in random.choice(len(free), count, replace=False))
    sides = []
    for side, text in enumerate(texts):
        masked = tuple(word for s, word in drawn if s == side)
        keep, ids = np.arange(len(pieces[side].ids)) < limits[side], pieces[side].ids.copy()
        for word in masked:
            first, last = tokens[side][word]
            ids[first] = tokenizer.mask_id
            keep[first + 1 : last] = False
        sides.append(_Side(text, places[side], Pieces(ids[keep], pieces[side].spans[keep]), masked))
    input_ids, types, spans, _ = tokenizer.frame(*(s.pieces for s in sides))
    none = np.zeros(0, np.int32)
    unit = np.full(len(input_ids), -1, np.int32)
    features = Features(
        row=0,
        window=0,
        input_ids=input_ids,
        type_ids=types,
        spans=spans,
        unit=unit,
        start=0,
        owned=none.astype(bool),
        target=none,
    )
    return _Masked(example, copy, random, tuple(sides), features)


def _tokens_of(
    text: str, words: Sequence[CharSpan], pieces: Pieces, limit: int
) -> dict[int, CharSpan]:
    """The tokens [first, last) of each word that has letters, shares none with another word and is read by the model."""
    starts = np.array([start for start, _ in words], np.int64)
    owner = np.searchsorted(starts, pieces.spans[:, 0], "right") - 1
    found: dict[int, CharSpan] = {}
    shared = set()
    for token, (word, (start, end)) in enumerate(
        zip(owner.tolist(), pieces.spans.tolist(), strict=True)
    ):
        if word < 0 or start >= words[word][1]:
            continue  # between words
        first = found.get(word, (token, token))[0]
        found[word] = (first, token + 1)
        if end > words[word][1] or token >= limit:
            shared |= {n for n in range(word, len(words)) if words[n][0] < max(end, words[word][1])}
    return {
        word: span
        for word, span in found.items()
        if word not in shared and any(c.isalpha() for c in text[words[word][0] : words[word][1]])
    }


def _filled(plan: _Masked, values: np.ndarray, places: np.ndarray, words: Sequence[str]) -> Example:
    """The example with its masks filled; values, places [N, K]: logits and candidates, best first, per mask."""
    texts: list[tuple[str, tuple[CharSpan, ...]]] = []
    row = 0
    for side in plan.sides:
        edits = []
        for word in side.masked:
            start, end = side.words[word]
            old = side.text[start:end]
            known = [(v, words[p]) for v, p in zip(values[row], places[row], strict=True)]
            row += 1
            others = [(v, w) for v, w in known if w.casefold() != old.casefold()][: len(known) - 1]
            if others:
                weight = np.exp(np.array([v for v, _ in others], np.float64) - others[0][0])
                drawn = others[int(plan.random.choice(len(others), p=weight / weight.sum()))][1]
                edits.append(Edit(word, word + 1, (_cased(drawn, old),)))
        texts.append(apply_edits(side.text, side.words, edits))
    (text, spans), pair = texts[0], texts[1][0] if len(texts) == 2 else None
    name = f"{plan.example.id}-fill{plan.copy}"
    return Example(name, text, pair, spans if plan.example.words else ())


def _cased(word: str, old: str) -> str:
    if len(old) > 1 and old.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if old[0].isupper() else word
