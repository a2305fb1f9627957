"""Which documents repeat an earlier one, exactly or nearly; the state lies on disk, so memory does not grow with it.

Hashes are compared range by range: each pass holds the hashes of one range only. Near-duplicates are found by banding
MinHash signatures (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4): documents equal in one band are
candidates, and a candidate goes when its whole signature agrees with the first or the previous document of its bucket
in at least the threshold's share of numbers. Who goes depends on the order of documents alone.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from destila.corpus.chunks import MinHash

_HELD = 4_000_000  # hashes in memory at once
_ROWS = 16_384  # documents compared at once

Column = Callable[[], Iterator[np.ndarray]]


def exact(hashes: Column, documents: int, *, held: int = _HELD) -> np.ndarray:
    """Bool [D], True for a document whose hash an earlier one has. hashes: streams u64 in order, each time anew."""
    repeated = np.zeros(documents, bool)
    for values, at in _ranges(hashes, documents, held):
        order = np.argsort(values, kind="stable")
        same = values[order][1:] == values[order][:-1]
        repeated[at[order][1:][same]] = True
    return repeated


def near(
    signatures: Column, left: np.ndarray, near: MinHash, folder: Path, *, held: int = _HELD
) -> np.ndarray:
    """Bool [D], True for a document that is nearly an earlier one.

    signatures: streams u32 [n, P] in order. left: bool [D], documents that are to be compared at all. folder: where the
    bands are kept meanwhile; the file is deleted.
    """
    gone = np.zeros(len(left), bool)
    rows, bands = folder / "signatures.u32", folder / "bands.u64"
    try:
        _store(signatures, len(left), near, rows, bands)
        for band in range(near.bands):
            column = partial(_column, bands, band * len(left), len(left))
            for values, at in _ranges(column, len(left), held):
                stay = left[at]
                _compare(values[stay], at[stay], rows, near, gone)
    finally:
        rows.unlink(missing_ok=True)
        bands.unlink(missing_ok=True)
    return gone


def _ranges(hashes: Column, documents: int, held: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The hashes of one range after the other with the numbers of their documents, ascending."""
    parts = -(-documents // held)
    width = np.uint64((1 << 64) // parts - 1 if parts > 1 else (1 << 64) - 1)
    for part in range(parts):
        values, at, first = [], [], 0
        for chunk in hashes():
            chosen = np.flatnonzero(np.minimum(chunk // width, np.uint64(parts - 1)) == part)
            values.append(chunk[chosen])
            at.append(chosen + first)
            first += len(chunk)
        if values:
            yield np.concatenate(values), np.concatenate(at)


def _store(signatures: Column, documents: int, near: MinHash, rows: Path, bands: Path) -> None:
    """Writes signatures row by row, and the hashes of their bands band by band."""
    first = 0
    width = near.permutations // near.bands
    with rows.open("wb") as table, bands.open("wb") as columns:
        for chunk in signatures():
            table.write(np.ascontiguousarray(chunk, np.uint32).data)
            for band in range(near.bands):
                columns.seek((band * documents + first) * 8)
                columns.write(_hashed(chunk[:, band * width : (band + 1) * width]).data)
            first += len(chunk)


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """u64 [n], one hash per row of u32 [n, W] (FNV-1a over numbers, its high bits mixed); overflow is meant."""
    value = np.full(len(numbers), 0xCBF29CE484222325, np.uint64)
    for column in numbers.T:
        value = (value ^ column) * np.uint64(0x100000001B3)
        value ^= value >> np.uint64(29)
    mixed: np.ndarray = value * np.uint64(0x9E3779B97F4A7C15)
    return mixed


def _column(path: Path, start: int, count: int) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        file.seek(start * 8)
        while count:
            chunk = np.fromfile(file, np.uint64, min(count, _HELD // 4))
            count -= len(chunk)
            yield chunk


def _compare(
    values: np.ndarray, at: np.ndarray, rows: Path, near: MinHash, gone: np.ndarray
) -> None:
    """Marks in `gone` the documents that agree with the first or the previous one of their bucket."""
    order = np.argsort(values, kind="stable")
    values, at = values[order], at[order]
    starts = np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])
    firsts = np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))
    candidates = np.flatnonzero(~starts & ~gone[at])
    for start in range(0, len(candidates), _ROWS):
        pairs = candidates[start : start + _ROWS]
        later = _signatures(rows, at[pairs], near.permutations)
        for earlier in (firsts[pairs], pairs - 1):
            alike = (later == _signatures(rows, at[earlier], near.permutations)).mean(
                axis=1
            ) >= near.threshold
            gone[at[pairs[alike]]] = True


def _signatures(path: Path, documents: np.ndarray, permutations: int) -> np.ndarray:
    """u32 [n, P] of some documents; mapped anew each time and without read-ahead, so that no pages pile up."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)
        table = np.frombuffer(mapped, np.uint32).reshape(-1, permutations)
        found: np.ndarray = table[documents]
        del table  # or the mapping could not be closed
    return found
