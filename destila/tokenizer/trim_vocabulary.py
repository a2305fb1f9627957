"""A tokenizer for one task: the pieces that its text never uses are dropped.

Most of a small encoder is its table of pieces, and a task's text uses a part of them. What every text needs stays:
special and added tokens, single characters (also as continuations), the bytes of byte-level and byte-fallback
vocabularies. Text whose pieces all stay is cut exactly as before:

    BPE         the merges that make a kept piece are kept, in their order, so no other pair can come first
    Unigram     the best segmentation is still there, and its rivals are fewer; the lowest score stays, because the
                library derives the score of unknown characters from it
    WordPiece   the longest piece that fits is still there
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np

from destila.errors import TokenizerError
from destila.tokenizer.spec import Json
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Pieces, Tokenizer, parse_tokenizer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_CHUNK = 1024
_FOLDS = 10
"""One line of so many is left out when the effect on other text is estimated."""


@dataclass(frozen=True, slots=True)
class TrimmedTokenizer:
    """A smaller tokenizer. ids: i64 [V], the old id of each of its ids, ascending."""

    tokenizer: Tokenizer
    ids: np.ndarray


def count_pieces(tokenizer: Tokenizer, lines: Iterable[str], *, words: bool) -> np.ndarray:
    """How often text uses every id of a tokenizer, i64 [V].

    words: the text is cut into words that are encoded one by one, as taggers read it.
    """
    found = np.zeros(tokenizer.vocab_size, np.int64)
    for chunk in _chunks(lines):
        for pieces in _encoded(tokenizer, chunk, words):
            np.add.at(found, pieces.ids, 1)
    return found


def trim_vocabulary(
    tokenizer: Tokenizer, seen: np.ndarray, *, size: int | None = None
) -> TrimmedTokenizer:
    """The tokenizer with the pieces that were seen, or the `size` most frequent ones, and what every text needs.

    seen: `counts`. size: pieces in all; None: all that were seen. Raises TokenizerError when what every text needs
    is more than `size`, and for a kind of vocabulary that cannot be trimmed.
    """
    spec, config = tokenizer.content()
    model = spec["model"]
    if model["type"] not in _REBUILT:
        raise TokenizerError(f"{tokenizer.source}: a {model['type']} vocabulary cannot be trimmed")
    ids = _ids(spec)
    kept = _needed(spec, ids)
    if size is not None and len(kept) > size:
        raise TokenizerError(
            f"size = {size} is less than the {len(kept)} characters and special tokens that every text needs: raise it"
        )
    parents = _Parents(model) if model["type"] == "BPE" else None
    for piece, number in sorted(ids.items(), key=lambda item: (-int(seen[item[1]]), item[1])):
        if not seen[number] or (size is not None and len(kept) >= size):
            break
        wanted = ({piece} if parents is None else parents.of(piece)) - kept
        if size is None or len(kept) + len(wanted) <= size:
            kept |= wanted
    old = sorted((number, piece) for piece, number in ids.items() if piece in kept)
    new = {piece: i for i, (_, piece) in enumerate(old)}
    source = f"{tokenizer.source}, trimmed to {len(new)} pieces"
    found = parse_tokenizer(_renumbered(spec, new), config, source=source)
    assert found.pieces_of(range(len(new))) == list(new), (
        "the library numbers pieces in another way"
    )
    return TrimmedTokenizer(found, np.array([number for number, _ in old]))


def changed_share(
    old: Tokenizer, new: TrimmedTokenizer, lines: Iterable[str], *, words: bool
) -> float:
    """The share of the old tokenizer's tokens in a text that the new one does not have in the same place."""
    total = changed = 0
    for chunk in _chunks(lines):
        before, after = (_encoded(tokenizer, chunk, words) for tokenizer in (old, new.tokenizer))
        for a, b in zip(before, after, strict=True):
            total += len(a.ids)
            there = {
                (int(new.ids[i]), *span) for i, span in zip(b.ids, b.spans.tolist(), strict=True)
            }
            changed += sum(
                (int(i), *span) not in there
                for i, span in zip(a.ids, a.spans.tolist(), strict=True)
            )
    return changed / max(total, 1)


def held_out_share(
    old: Tokenizer, used: np.ndarray, lines: Sequence[str], *, size: int | None, words: bool
) -> float:
    """Return the share of changed tokens in every tenth line, by a vocabulary of the other nine.

    Args:
        old: the whole tokenizer.
        used: `count_pieces` of all the lines, i64 [V].
        lines: the text that pieces are chosen by.
        size: as in `trim_vocabulary`.
        words: as in `count_pieces`.
    """
    tenth = lines[::_FOLDS]
    rest = trim_vocabulary(old, used - count_pieces(old, tenth, words=words), size=size)
    return changed_share(old, rest, tenth, words=words)


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    source = iter(lines)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def _encoded(tokenizer: Tokenizer, lines: list[str], words: bool) -> list[Pieces]:
    if not words:
        return tokenizer.text(lines)
    return list(
        chain.from_iterable(tokenizer.words_many([(line, split_words(line)) for line in lines]))
    )


def _ids(spec: Json) -> dict[str, int]:
    vocab = spec["model"]["vocab"]
    ids = (
        dict(vocab) if isinstance(vocab, dict) else {piece: i for i, (piece, _) in enumerate(vocab)}
    )
    return ids | {token["content"]: token["id"] for token in spec["added_tokens"]}


def _needed(spec: Json, ids: dict[str, int]) -> set[str]:
    """Special and added tokens, characters and bytes."""
    model = spec["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    kept = {token["content"] for token in spec["added_tokens"]} | {
        model.get("unk_token") or ""
    } & ids.keys()
    kept |= {
        p
        for p in ids
        if len(p) == 1 or _BYTE.fullmatch(p) or (prefix and len(p.removeprefix(prefix)) == 1)
    }
    if model["type"] == "Unigram":
        scores = model["vocab"]
        kept |= {scores[model["unk_id"]][0]} if model["unk_id"] is not None else set()
        kept.add(min(scores, key=lambda entry: entry[1])[0])
    return kept


class _Parents:
    """For a BPE model, the pieces on the way to each piece: those that its merges make, in the order of the merges."""

    def __init__(self, model: Json) -> None:
        self._ranks = {
            (left, right): rank for rank, (left, right) in enumerate(map(_pair, model["merges"]))
        }
        self._prefix = model.get("continuing_subword_prefix") or ""

    def of(self, piece: str) -> set[str]:
        """The piece and everything that is merged on the way to it."""
        parts = [c if not i else self._prefix + c for i, c in enumerate(piece)]
        found = {piece}
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, len(self._ranks)) for pair in pairwise(parts)]
            if min(ranks) == len(self._ranks):
                break  # an added token, or one that no merge reaches
            at = ranks.index(min(ranks))
            parts[at : at + 2] = [parts[at] + parts[at + 1].removeprefix(self._prefix)]
            found.add(parts[at])
        return found


def _pair(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _renumbered(spec: Json, new: dict[str, int]) -> Json:
    """The tokenizer.json whose pieces are those of `new`, under their new ids."""
    model = _REBUILT[spec["model"]["type"]](spec["model"], new)
    added = sorted(
        ({**t, "id": new[t["content"]]} for t in spec["added_tokens"]),
        key=lambda token: token["id"],
    )
    return {
        **spec,
        "model": model,
        "added_tokens": added,
        "post_processor": _framed(spec["post_processor"], new),
    }


def _framed(part: Any, new: dict[str, int]) -> Any:
    """A post-processor with the new ids of the special tokens that it puts around a text."""
    if part is None:
        return None
    if part["type"] == "Sequence":
        return {**part, "processors": [_framed(step, new) for step in part["processors"]]}
    if part["type"] == "TemplateProcessing":
        tokens = part["special_tokens"].items()
        renumbered = {
            name: {**t, "ids": [new[token] for token in t["tokens"]]} for name, t in tokens
        }
        return {**part, "special_tokens": renumbered}
    return {
        **part,
        **{role: [part[role][0], new[part[role][0]]] for role in ("cls", "sep") if role in part},
    }


def _bpe(model: Json, new: dict[str, int]) -> Json:
    prefix = model.get("continuing_subword_prefix") or ""
    merges = [
        [left, right]
        for left, right in map(_pair, model["merges"])
        if left in new and right in new and left + right.removeprefix(prefix) in new
    ]
    return {
        **model,
        "vocab": {p: i for p, i in new.items() if p in model["vocab"]},
        "merges": merges,
    }


def _unigram(model: Json, new: dict[str, int]) -> Json:
    unknown = model["vocab"][model["unk_id"]][0] if model["unk_id"] is not None else None
    vocab = [entry for entry in model["vocab"] if entry[0] in new]
    return {**model, "vocab": vocab, "unk_id": None if unknown is None else new[unknown]}


def _wordpiece(model: Json, new: dict[str, int]) -> Json:
    return {**model, "vocab": {p: i for p, i in new.items() if p in model["vocab"]}}


_REBUILT = {"BPE": _bpe, "Unigram": _unigram, "WordPiece": _wordpiece}
