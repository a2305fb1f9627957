"""Chunks -> the documents chosen of them -> shards; each shard is planned first and written once.

A shard is a plan of its own, so a run that goes on does not write finished shards again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from destila.corpus import dedup, shards
from destila.corpus.chunks import STEPS, MinHash, offsets
from destila.corpus.workers import read_chunk


@dataclass(frozen=True, slots=True)
class ChosenDocuments:
    """kept: bool [D] over the documents of all chunks. counts: documents and so on, by step."""

    kept: np.ndarray
    counts: dict[str, int]


def choose_documents(
    chunks: Sequence[Path], folder: Path, *, exact: bool, near: MinHash
) -> ChosenDocuments:
    """Choose the documents that stay, and count how many went at each step.

    Args:
        chunks: files of all chunks, in order.
        folder: for files that are only needed meanwhile.
        exact: drop documents that equal an earlier one.
        near: how near-duplicates are found, if at all.

    """
    sums = np.zeros(len(STEPS), np.int64)
    total = 0
    for path in chunks:
        sums += read_chunk(path, "counts")["counts"]
        total += len(read_chunk(path, "lengths")["lengths"])
    counts = dict(zip(STEPS, sums.tolist(), strict=True))

    kept = np.ones(total, bool)  # [D]
    column = partial(_column, chunks)
    if exact:
        kept &= ~dedup.exact_duplicates(partial(column, "exact"), total)
    counts["exact_duplicates"] = int(total - kept.sum())

    # Near-duplicates are looked for among the documents that are still there.
    if near.use and total:
        kept &= ~dedup.near_duplicates(partial(column, "signature"), kept.copy(), near, folder)
    counts["near_duplicates"] = int(total - kept.sum()) - counts["exact_duplicates"]
    return ChosenDocuments(kept, counts)


def write_shards(
    chunks: Sequence[Path],
    kept: np.ndarray,
    folder: Path,
    *,
    shard_tokens: int,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Write the shards that are not complete yet; return the names of all.

    Args:
        chunks: files of all chunks, in order.
        kept: bool [D] over the documents of all chunks.
        folder: where the shards go.
        shard_tokens: a shard is full when it has so many or more.
        progress: called with the number of shards done and of all.

    """
    plans = _plans(chunks, kept, shard_tokens)
    names = [f"{number:05d}" for number in range(len(plans))]
    for number, (name, plan) in enumerate(zip(names, plans, strict=True)):
        progress(number, len(plans))
        if not shards.is_complete(folder, name):
            columns = zip(*map(_read_selection, plan), strict=True)
            tokens, sentences, documents = map(np.concatenate, columns)
            shards.write_shard(folder, name, tokens, sentences, documents)
    return names


@dataclass(frozen=True, slots=True)
class _Selection:
    """Documents `numbers` i64 [n], ascending, of one chunk."""

    path: Path
    numbers: np.ndarray


def _plans(chunks: Sequence[Path], kept: np.ndarray, shard_tokens: int) -> list[list[_Selection]]:
    """Plan each shard: whole documents, in order, until it has `shard_tokens` or more."""
    plans: list[list[_Selection]] = [[]]
    room, first = shard_tokens, 0
    for path in chunks:
        # The documents of this chunk that stay, and where their tokens end.
        lengths = read_chunk(path, "lengths")["lengths"]
        numbers = np.flatnonzero(kept[first : first + len(lengths)])
        first += len(lengths)
        ends = offsets(lengths[numbers])

        # They fill the open shard, then others.
        start = 0
        while start < len(numbers):
            end = min(int(np.searchsorted(ends, ends[start] + room)), len(numbers))
            plans[-1].append(_Selection(path, numbers[start:end]))
            room -= int(ends[end] - ends[start])
            start = end
            if room <= 0:
                plans.append([])
                room = shard_tokens
    return [plan for plan in plans if plan]


def _read_selection(selection: _Selection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the tokens, tokens per sentence and sentences per document of a selection."""
    chunk = read_chunk(selection.path, "tokens", "sentences", "documents", "lengths")
    chosen = np.zeros(len(chunk["lengths"]), bool)  # [D]
    chosen[selection.numbers] = True
    return (
        chunk["tokens"][np.repeat(chosen, chunk["lengths"])],
        chunk["sentences"][np.repeat(chosen, chunk["documents"])],
        chunk["documents"][chosen],
    )


def _column(chunks: Sequence[Path], name: str) -> Iterator[np.ndarray]:
    """Stream one array of every chunk."""
    return (read_chunk(path, name)[name] for path in chunks)
