"""Words masked whole and filled by a masked language model: new texts that read alike.

One mask stands for a word, however many tokens it has, and is filled by a token that is a word of
its own (encoding what the token spells gives the token again); so a text keeps its number of words,
as tagging needs. Of the `top` likeliest such words, without the one that was there, one is drawn by
its probability. Capitals are kept as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from destila.errors import ModelError
from destila.models.mlm import MaskedModel
from destila.teachers.made_texts.augment import Edit, Random, apply_edits, text_generators
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
    """One text of an example: its words, its tokens with masks, the masked words in order."""

    text: str
    words: Sequence[CharSpan]
    pieces: Pieces
    masked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _MaskedText:
    """An example with masks, ready for the model; `random` draws what fills them."""

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
    """Return examples without targets, with some of their words exchanged.

    Texts without a word that can be masked are left out; words beyond what the model reads stay.

    Args:
        examples: texts, or pairs of texts.
        model: a masked language model.
        tokenizer: the model's own.
        copies: most texts made of each example.
        share: of its words that are exchanged, at least one.
        top: how many of the likeliest words one is drawn from.
        seed: of every choice.
        progress: called with (texts done, texts in all).

    Raises:
        ModelError: the tokenizer has no mask token, or no whole words.
    """
    if tokenizer.mask_id is None:
        raise ModelError(
            f"{tokenizer.source} has no mask token: "
            "give a masked language model with its own tokenizer"
        )
    ids, words = whole_words(tokenizer)
    if len(ids) < 2:
        raise ModelError(
            f"{tokenizer.source} has no tokens that are whole words, so no mask can be filled"
        )

    # mask every text first, so that those of like length are computed together
    room = min(model.config.max_length, tokenizer.max_length or model.config.max_length)
    masked_texts: list[_MaskedText] = []
    for copy, i, random in text_generators(examples, copies, seed):
        masked = _mask(examples[i], copy, random, tokenizer, share, room)
        if masked is not None:
            masked_texts.append(masked)
    lengths = [len(masked.features.input_ids) for masked in masked_texts]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)

    filled: dict[int, Example] = {}
    table = torch.from_numpy(ids)  # [W]
    model.eval()
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = collate([masked_texts[i].features for i in chosen], tokenizer.pad_id)

        # the likeliest words at each of the N masks; one more, as that which was there is no choice
        with torch.inference_mode():
            logits = model.at(batch, batch.input_ids == tokenizer.mask_id)[:, table]  # [N, W]
            best = logits.topk(min(top + 1, len(ids)))
        values, choices = best.values.numpy(), best.indices.numpy()  # both [N, K]

        # masks come in the order of the batch, and of each text
        mask = 0
        for i in chosen:
            end = mask + sum(len(side.masked) for side in masked_texts[i].sides)
            filled[i] = _fill(masked_texts[i], values[mask:end], choices[mask:end], words)
            mask = end

        if progress is not None:
            progress(start + len(chosen), len(masked_texts))

    return [filled[i] for i in range(len(masked_texts))]


def whole_words(tokenizer: Tokenizer) -> tuple[np.ndarray, list[str]]:
    """Return the tokens that are a whole word of letters: ids i64 [W] and what they spell."""
    spelt = [text.strip("▁Ġ \t\n") for text in tokenizer.spell(range(tokenizer.vocab_size))]
    letters = {
        i: text
        for i, text in enumerate(spelt)
        if text.isalpha() and (len(text) > 1 or text.lower() in _LETTERS)
    }

    # a token is a word of its own when the word is encoded as that token alone
    encoded = tokenizer.words_many((text, [(0, len(text))]) for text in letters.values())
    words = {
        i: text
        for (i, text), [pieces] in zip(letters.items(), encoded, strict=True)
        if pieces.ids.tolist() == [i]
    }
    return np.array(list(words), np.int64), list(words.values())


def _mask(
    example: Example, copy: int, random: Random, tokenizer: Tokenizer, share: float, room: int
) -> _MaskedText | None:
    """Return the example with some words masked; None when none can be, or it holds a mask already.

    Args:
        example: a text or a pair of texts.
        copy: number of the text made of it.
        random: of this copy.
        tokenizer: with a mask token.
        share: of its words that are masked, at least one.
        room: most tokens that the model reads.
    """
    texts = [example.text] if example.pair is None else [example.text, example.pair]
    pieces = tokenizer.text(texts)
    if any(tokenizer.mask_id in p.ids for p in pieces):
        return None
    words = [example.words or split_words(example.text), *(split_words(t) for t in texts[1:])]

    # what the model reads of each text: the second one has at most half of the room
    left = room - tokenizer.special_count(len(texts) == 2)
    second = min(len(pieces[-1].ids), left // 2) if len(texts) == 2 else 0
    limits = [left - second, second]

    # the words that can be masked, as (text, word)
    tokens_of = [
        _maskable_words(*parts) for parts in zip(texts, words, pieces, limits, strict=False)
    ]
    free: list[tuple[int, int]] = []
    for side, known in enumerate(tokens_of):
        free += [(side, word) for word in known]
    if not free:
        return None

    # the share is of all words with letters, whether they can be masked or not
    count = 0
    for text, spans in zip(texts, words, strict=True):
        count += sum(_has_letters(text, span) for span in spans)
    count = min(len(free), max(1, round(share * count)))
    drawn = sorted(free[i] for i in random.choice(len(free), count, replace=False))

    sides = []
    for side, text in enumerate(texts):
        masked = tuple(word for s, word in drawn if s == side)
        ids = pieces[side].ids.copy()
        keep = np.arange(len(ids)) < limits[side]
        for word in masked:  # its first token becomes the mask, the others go
            first, last = tokens_of[side][word]
            ids[first] = tokenizer.mask_id
            keep[first + 1 : last] = False
        sides.append(_Side(text, words[side], Pieces(ids[keep], pieces[side].spans[keep]), masked))

    features = _features(tokenizer, sides)
    return _MaskedText(example, copy, random, tuple(sides), features)


def _features(tokenizer: Tokenizer, sides: Sequence[_Side]) -> Features:
    """Return the window of one or two masked texts, in which no unit is asked for."""
    input_ids, type_ids, spans, _ = tokenizer.frame(*(side.pieces for side in sides))
    return Features(
        row=0,
        window=0,
        input_ids=input_ids,
        type_ids=type_ids,
        spans=spans,
        unit=np.full(len(input_ids), -1, np.int32),
        start=0,
        owned=np.zeros(0, bool),
        target=np.zeros(0, np.int32),
    )


def _has_letters(text: str, span: CharSpan) -> bool:
    return any(c.isalpha() for c in text[span[0] : span[1]])


def _maskable_words(
    text: str, words: Sequence[CharSpan], pieces: Pieces, limit: int
) -> dict[int, CharSpan]:
    """Return the tokens [first, last) of each word that can be masked.

    Such a word has letters, shares no token with another word and is read by the model.

    Args:
        text: the words' own.
        words: their spans.
        pieces: the tokens of the text.
        limit: tokens of it that the model reads.
    """
    # the last word that starts at or before each token
    starts = np.array([start for start, _ in words], np.int64)
    owner = np.searchsorted(starts, pieces.spans[:, 0], "right") - 1  # [L]

    tokens_of: dict[int, CharSpan] = {}
    shared: set[int] = set()
    for token, (word, span) in enumerate(zip(owner.tolist(), pieces.spans.tolist(), strict=True)):
        start, end = span
        if word < 0 or start >= words[word][1]:
            continue  # between words

        first = tokens_of.get(word, (token, token))[0]
        tokens_of[word] = (first, token + 1)

        # a token that reaches into other words spoils them too; so does one that is not read
        word_end = words[word][1]
        if end > word_end or token >= limit:
            reach = max(end, word_end)
            shared |= {n for n in range(word, len(words)) if words[n][0] < reach}

    return {
        word: span
        for word, span in tokens_of.items()
        if word not in shared and _has_letters(text, words[word])
    }


def _fill(
    masked: _MaskedText, values: np.ndarray, choices: np.ndarray, words: Sequence[str]
) -> Example:
    """Return the example with its masks filled.

    Args:
        masked: the example with N masks.
        values: logits per mask, best first, [N, K].
        choices: positions in `words`, of the same, [N, K].
        words: what can fill a mask.
    """
    texts: list[tuple[str, tuple[CharSpan, ...]]] = []
    mask = 0
    for side in masked.sides:
        edits = []
        for word in side.masked:
            start, end = side.words[word]
            old = side.text[start:end]
            likely = [(v, words[i]) for v, i in zip(values[mask], choices[mask], strict=True)]
            mask += 1

            # without the word that was there; where it was not among them, without the last
            others = [(v, w) for v, w in likely if w.casefold() != old.casefold()]
            others = others[: len(likely) - 1]
            if others:
                new = _draw(others, masked.random)
                edits.append(Edit(word, word + 1, (_cased(new, old),)))
        texts.append(apply_edits(side.text, side.words, edits))

    text, spans = texts[0]
    pair = texts[1][0] if len(texts) == 2 else None
    name = f"{masked.example.id}-fill{masked.copy}"
    return Example(name, text, pair, spans if masked.example.words else ())


def _draw(words: Sequence[tuple[float, str]], random: Random) -> str:
    """Draw one of some (logit, word), best first, by its probability among them."""
    weight = np.exp(np.array([value for value, _ in words], np.float64) - words[0][0])
    return words[int(random.choice(len(words), p=weight / weight.sum()))][1]


def _cased(word: str, old: str) -> str:
    """Return a word with the capitals of the one it stands for."""
    if len(old) > 1 and old.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if old[0].isupper() else word
