"""Pieces -> what is chosen of them -> shards. Each shard is a plan of its own, so finished ones are not written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from destila.corpus import dedup, shards
from destila.corpus.chunks import STEPS, MinHash, offsets
from destila.corpus.workers import read


@dataclass(frozen=True, slots=True)
class Chosen:
    """kept: bool [D] over the documents of all pieces. counts: documents and so on, by step."""

    kept: np.ndarray
    counts: dict[str, int]


def choose(pieces: Sequence[Path], folder: Path, *, exact: bool, near: MinHash) -> Chosen:
    """The documents that stay, and how many went at each step. folder: for files that are only needed meanwhile."""
    sums = sum((read(path, "counts")["counts"] for path in pieces), np.zeros(len(STEPS), np.int64))
    total = sum(len(read(path, "lengths")["lengths"]) for path in pieces)
    counts = dict(zip(STEPS, sums.tolist(), strict=True))
    column = partial(_column, pieces)
    kept = np.ones(total, bool)
    if exact:
        kept &= ~dedup.exact(partial(column, "exact"), total)
    counts["exact_duplicates"] = int(total - kept.sum())
    if near.use and total:
        kept &= ~dedup.near(partial(column, "signature"), kept.copy(), near, folder)
    counts["near_duplicates"] = int(total - kept.sum()) - counts["exact_duplicates"]
    return Chosen(kept, counts)


def gather(
    pieces: Sequence[Path],
    kept: np.ndarray,
    folder: Path,
    *,
    shard_tokens: int,
    progress: Callable[[int, int], None],
) -> list[str]:
    """The names of all shards, written unless they are complete. progress: called with shards done and all of them."""
    plans = _plans(pieces, kept, shard_tokens)
    names = [f"{number:05d}" for number in range(len(plans))]
    for number, (name, plan) in enumerate(zip(names, plans, strict=True)):
        progress(number, len(plans))
        if not shards.is_complete(folder, name):
            tokens, sentences, chosen = zip(*map(_part, plan), strict=True)
            shards.write(folder, name, *map(np.concatenate, (tokens, sentences, chosen)))
    return names


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Documents `numbers` i64 [n], ascending, of one piece."""

    path: Path
    numbers: np.ndarray


def _plans(pieces: Sequence[Path], kept: np.ndarray, shard_tokens: int) -> list[list[_Stretch]]:
    """What goes into each shard: whole documents, in order, until it has `shard_tokens` or more."""
    plans: list[list[_Stretch]] = [[]]
    room, first = shard_tokens, 0
    for path in pieces:
        lengths = read(path, "lengths")["lengths"]
        numbers = np.flatnonzero(kept[first : first + len(lengths)])
        first += len(lengths)
        ends = offsets(lengths[numbers])
        start = 0
        while start < len(numbers):
            end = min(int(np.searchsorted(ends, ends[start] + room)), len(numbers))
            plans[-1].append(_Stretch(path, numbers[start:end]))
            room -= int(ends[end] - ends[start])
            start = end
            if room <= 0:
                plans.append([])
                room = shard_tokens
    return [plan for plan in plans if plan]


def _part(stretch: _Stretch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, tokens per sentence and sentences per document of a stretch."""
    piece = read(stretch.path, "tokens", "sentences", "documents", "lengths")
    chosen = np.zeros(len(piece["lengths"]), bool)
    chosen[stretch.numbers] = True
    return (
        piece["tokens"][np.repeat(chosen, piece["lengths"])],
        piece["sentences"][np.repeat(chosen, piece["documents"])],
        piece["documents"][chosen],
    )


def _column(pieces: Sequence[Path], name: str) -> Iterator[np.ndarray]:
    return (read(path, name)[name] for path in pieces)
