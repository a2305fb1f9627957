"""A tokenizer for one task: the pieces that its text never uses are dropped.

Most of a small encoder is its table of pieces, and a task's text uses a part of them. What every
text needs stays: special and added tokens, single characters (also as continuations), the bytes of
byte-level and byte-fallback vocabularies. Text whose pieces all stay is cut exactly as before:

    BPE         the merges that make a kept piece are kept, in their order, so no other pair can
                come first
    Unigram     the best segmentation is still there, and its rivals are fewer; the lowest score
                stays, because the library derives the score of unknown characters from it
    WordPiece   the longest piece that fits is still there
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Literal

import numpy as np

from destila.errors import TokenizerError
from destila.tokenizer.pieces import Pieces
from destila.tokenizer.spec import Json, vocabulary
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Tokenizer, parse_tokenizer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_LINES_PER_CALL = 1024
_FOLDS = 10
"""One line of so many is left out when the effect on other text is estimated."""

KeptCharacters = Literal["all", "latin"]
"""Which single characters stay though no text used them: all, or no letters but Latin ones."""


@dataclass(frozen=True, slots=True)
class TrimmedTokenizer:
    """A smaller tokenizer. ids: i64 [V], the old id of each of its ids, ascending."""

    tokenizer: Tokenizer
    ids: np.ndarray


@dataclass(frozen=True, slots=True)
class TrimCost:
    """What a smaller tokenizer does to a text.

    Args:
        changed: share of the old tokenizer's tokens that the new one lacks in the same place.
        unknown: share of the characters, blanks apart, that only the new one cannot name.
    """

    changed: float
    unknown: float


def count_pieces(tokenizer: Tokenizer, lines: Iterable[str], *, words: bool) -> np.ndarray:
    """Count how often text uses every id of a tokenizer: i64 [V].

    Args:
        tokenizer: whose pieces are counted.
        lines: the text.
        words: cut the text into words that are encoded one by one, as taggers read it.
    """
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for batch in _batches(lines):
        ids = [pieces.ids for pieces in _encode(tokenizer, batch, words)]
        counts += np.bincount(np.concatenate(ids), minlength=len(counts)) if ids else 0
    return counts


def trim_vocabulary(
    tokenizer: Tokenizer,
    counts: np.ndarray,
    *,
    size: int | None = None,
    characters: KeptCharacters = "all",
) -> TrimmedTokenizer:
    """Drop the pieces that were never seen, or all but the `size` most frequent ones.

    What every text needs stays in any case.

    Args:
        tokenizer: the whole one.
        counts: i64 [V], see `count_pieces`.
        size: pieces in all; None keeps all that were seen.
        characters: "latin" drops the letters of other alphabets that were never seen, of which a
            multilingual vocabulary has thousands.

    Raises:
        TokenizerError: what every text needs is more than `size`, or the kind of vocabulary cannot
            be trimmed.
    """
    spec, config = tokenizer.content()
    model = spec["model"]
    if model["type"] not in _REBUILD:
        raise TokenizerError(f"{tokenizer.source}: a {model['type']} vocabulary cannot be trimmed")

    kept = _choose_pieces(spec, counts, size, characters)
    by_old_id = sorted((number, piece) for piece, number in _ids(spec).items() if piece in kept)
    new_ids = {piece: i for i, (_, piece) in enumerate(by_old_id)}

    source = f"{tokenizer.source}, trimmed to {len(new_ids)} pieces"
    smaller = parse_tokenizer(_renumber(spec, new_ids), config, source=source)
    assert smaller.pieces_of(range(len(new_ids))) == list(new_ids), (
        "the library numbers pieces in another way"
    )
    return TrimmedTokenizer(smaller, np.array([number for number, _ in by_old_id]))


def trim_cost(
    old: Tokenizer, new: TrimmedTokenizer, lines: Iterable[str], *, words: bool
) -> TrimCost:
    """Compare two tokenizers on a text.

    Args:
        old: the whole tokenizer.
        new: the smaller one.
        lines: text.
        words: as in `count_pieces`.
    """
    total = changed = characters = unknown = 0
    for batch in _batches(lines):
        before = _encode(old, batch, words)
        after = _encode(new.tokenizer, batch, words)
        characters += sum(not c.isspace() for c in chain.from_iterable(batch))
        for old_pieces, new_pieces in zip(before, after, strict=True):
            # A token is an id of the old tokenizer and its span.
            old_tokens = _tokens(old_pieces.ids, old_pieces.spans)
            new_tokens = set(_tokens(new.ids[new_pieces.ids], new_pieces.spans))
            total += len(old_tokens)
            changed += sum(token not in new_tokens for token in old_tokens)
            unknown += _unknown(new_pieces, new.tokenizer) - _unknown(old_pieces, old)
    return TrimCost(changed / max(total, 1), max(unknown, 0) / max(characters, 1))


def held_out_cost(
    old: Tokenizer,
    counts: np.ndarray,
    lines: Callable[[], Iterable[str]],
    *,
    size: int | None,
    characters: KeptCharacters,
    words: bool,
) -> TrimCost:
    """Measure on every tenth line what a vocabulary of the other nine costs.

    Args:
        old: the whole tokenizer.
        counts: `count_pieces` of all the lines, i64 [V].
        lines: gives the text that pieces are chosen by, from its start.
        size: as in `trim_vocabulary`.
        characters: as in `trim_vocabulary`.
        words: as in `count_pieces`.
    """
    rest = counts - count_pieces(old, islice(lines(), 0, None, _FOLDS), words=words)
    smaller = trim_vocabulary(old, rest, size=size, characters=characters)
    return trim_cost(old, smaller, islice(lines(), 0, None, _FOLDS), words=words)


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Cut lines into as many as are encoded at once."""
    source = iter(lines)
    while batch := list(islice(source, _LINES_PER_CALL)):
        yield batch


def _encode(tokenizer: Tokenizer, lines: list[str], words: bool) -> list[Pieces]:
    """Encode lines, or all their words."""
    if not words:
        return tokenizer.text(lines)
    by_line = tokenizer.words_many([(line, split_words(line)) for line in lines])
    return list(chain.from_iterable(by_line))


def _tokens(ids: np.ndarray, spans: np.ndarray) -> list[tuple[int, int, int]]:
    """List tokens as (id, start, end)."""
    rows = zip(ids.tolist(), spans.tolist(), strict=True)
    return [(number, start, end) for number, (start, end) in rows]


def _unknown(pieces: Pieces, tokenizer: Tokenizer) -> int:
    """Count the characters under the tokens that a tokenizer has no name for."""
    spans = pieces.spans[pieces.ids == tokenizer.unk_id]
    return int((spans[:, 1] - spans[:, 0]).sum())


def _ids(spec: Json) -> dict[str, int]:
    """Return piece -> id, added tokens included."""
    return {**vocabulary(spec), **{t["content"]: t["id"] for t in spec["added_tokens"]}}


def _choose_pieces(
    spec: Json, counts: np.ndarray, size: int | None, characters: KeptCharacters
) -> set[str]:
    """Choose what every text needs, then the most frequent pieces with all that makes them."""
    ids = _ids(spec)
    kept = _needed_pieces(spec, ids, characters)
    if size is not None and len(kept) > size:
        other = ", or give --characters latin" if characters == "all" else ""
        raise TokenizerError(
            f"size = {size} is less than the {len(kept)} characters and special tokens that every "
            f"text needs: raise it{other}"
        )

    ancestry = _Ancestry(spec["model"]) if spec["model"]["type"] == "BPE" else None
    by_frequency = sorted(ids.items(), key=lambda item: (-int(counts[item[1]]), item[1]))
    for piece, number in by_frequency:
        if not counts[number] or (size is not None and len(kept) >= size):
            break

        # A piece that would not fit with its ancestors makes way for one that does.
        family = {piece} if ancestry is None else ancestry.of(piece)
        if size is None or len(kept | family) <= size:
            kept |= family
    return kept


def _needed_pieces(spec: Json, ids: dict[str, int], characters: KeptCharacters) -> set[str]:
    """Return special and added tokens, characters and bytes."""
    model = spec["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    kept = {token["content"] for token in spec["added_tokens"]}
    kept |= {model.get("unk_token") or ""} & ids.keys()
    for piece in ids:
        character = piece.removeprefix(prefix) if prefix else piece
        is_needed = len(character) == 1 and (characters == "all" or not _is_foreign(character))
        if is_needed or _BYTE.fullmatch(piece):
            kept.add(piece)

    # Unigram names its unknown piece by id, and needs the lowest score.
    if model["type"] == "Unigram":
        scores = model["vocab"]
        if model["unk_id"] is not None:
            kept.add(scores[model["unk_id"]][0])
        kept.add(min(scores, key=lambda entry: entry[1])[0])
    return kept


def _is_foreign(character: str) -> bool:
    """Say whether a character is a letter, or the mark of one, of an alphabet other than Latin."""
    if unicodedata.category(character)[0] not in "LM":
        return False
    name = unicodedata.name(character, "")
    return not name.startswith(("LATIN ", "COMBINING ", "MODIFIER ", "FEMININE ", "MASCULINE "))


class _Ancestry:
    """The pieces on the way to each piece of a BPE model: those that its merges make, in order."""

    def __init__(self, model: Json) -> None:
        pairs = map(_pair, model["merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._prefix = model.get("continuing_subword_prefix") or ""

    def of(self, piece: str) -> set[str]:
        """Return the piece and everything that is merged on the way to it."""
        parts = [self._prefix + c if i else c for i, c in enumerate(piece)]
        family = {piece}
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, len(self._ranks)) for pair in pairwise(parts)]
            if min(ranks) == len(self._ranks):
                break  # an added token, or one that no merge reaches

            # The merge that was learnt first comes first.
            place = ranks.index(min(ranks))
            merged = parts[place] + parts[place + 1].removeprefix(self._prefix)
            parts[place : place + 2] = [merged]
            family.add(merged)
        return family


def _pair(merge: str | list[str]) -> tuple[str, str]:
    """Read a merge, which older files write as one string."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _renumber(spec: Json, ids: dict[str, int]) -> Json:
    """Return the tokenizer.json whose pieces are those of `ids`, under their new ids."""
    model = _REBUILD[spec["model"]["type"]](spec["model"], ids)
    added = [{**token, "id": ids[token["content"]]} for token in spec["added_tokens"]]
    return {
        **spec,
        "model": model,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "post_processor": _renumber_template(spec["post_processor"], ids),
    }


def _renumber_template(part: Json | None, ids: dict[str, int]) -> Json | None:
    """Return a post-processor with the new ids of the special tokens that it puts around a text."""
    if part is None:
        return None
    if part["type"] == "Sequence":
        return {**part, "processors": [_renumber_template(p, ids) for p in part["processors"]]}
    if part["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [ids[piece] for piece in token["tokens"]]}
            for name, token in part["special_tokens"].items()
        }
        return {**part, "special_tokens": tokens}

    # BERT's and RoBERTa's own name the two tokens as [name, id].
    named = {role: part[role][0] for role in ("cls", "sep") if role in part}
    return {**part, **{role: [name, ids[name]] for role, name in named.items()}}


def _rebuild_bpe(model: Json, ids: dict[str, int]) -> Json:
    """Keep the merges whose parts and result stay."""
    prefix = model.get("continuing_subword_prefix") or ""
    merges = [
        [left, right]
        for left, right in map(_pair, model["merges"])
        if left in ids and right in ids and left + right.removeprefix(prefix) in ids
    ]
    return {**_rebuild_wordpiece(model, ids), "merges": merges}


def _rebuild_unigram(model: Json, ids: dict[str, int]) -> Json:
    """Keep the pieces that stay with their scores."""
    vocab = [entry for entry in model["vocab"] if entry[0] in ids]
    unknown = model["unk_id"]
    if unknown is not None:
        unknown = ids[model["vocab"][unknown][0]]
    return {**model, "vocab": vocab, "unk_id": unknown}


def _rebuild_wordpiece(model: Json, ids: dict[str, int]) -> Json:
    """Keep the pieces that stay; added tokens that were no pieces of the model are none now."""
    return {**model, "vocab": {p: i for p, i in ids.items() if p in model["vocab"]}}


_REBUILD = {"BPE": _rebuild_bpe, "Unigram": _rebuild_unigram, "WordPiece": _rebuild_wordpiece}
