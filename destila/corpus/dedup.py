"""Which documents repeat an earlier one, exactly or nearly; the state lies on disk, not in memory.

Hashes are compared range by range: only those of one range are in memory at a time. Near-duplicates
are found by banding MinHash signatures (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets,
3.4): documents equal in one band are candidates, and a candidate goes when its whole signature
agrees with the first or the previous document of its bucket in at least the threshold's share of
numbers. Who goes depends on the order of documents alone.
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
"""Streams one array of all documents in order, from the start each time it is called."""


def exact_duplicates(hashes: Column, documents: int, *, held: int = _HELD) -> np.ndarray:
    """Tell of each document whether an earlier one has its hash: bool [D].

    Args:
        hashes: streams u64, one for each document.
        documents: how many there are.
        held: hashes in memory at once.

    """
    repeated = np.zeros(documents, bool)
    for values, numbers in _ranges(hashes, documents, held):
        order = np.argsort(values, kind="stable")
        same = values[order][1:] == values[order][:-1]
        repeated[numbers[order][1:][same]] = True
    return repeated


def near_duplicates(
    signatures: Column, left: np.ndarray, near: MinHash, folder: Path, *, held: int = _HELD
) -> np.ndarray:
    """Tell of each document whether it is nearly an earlier one: bool [D].

    Args:
        signatures: streams u32 [n, P] in order.
        left: bool [D], documents that are to be compared at all.
        near: bands and threshold.
        folder: where signatures and bands are kept meanwhile; both files are deleted.
        held: hashes in memory at once.

    """
    gone = np.zeros(len(left), bool)
    rows, bands = folder / "signatures.u32", folder / "bands.u64"
    try:
        _store(signatures, len(left), near, rows, bands)
        for band in range(near.bands):
            column = partial(_read_band, bands, band * len(left), len(left))
            for values, numbers in _ranges(column, len(left), held):
                stay = left[numbers]
                _compare(values[stay], numbers[stay], rows, near, gone)
    finally:
        rows.unlink(missing_ok=True)
        bands.unlink(missing_ok=True)
    return gone


def _ranges(hashes: Column, documents: int, held: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the hashes of one range after the other with their documents' numbers, ascending."""
    parts = -(-documents // held)
    largest = (1 << 64) - 1
    width = np.uint64((1 << 64) // parts - 1 if parts > 1 else largest)

    for part in range(parts):
        values, numbers, first = [], [], 0
        for chunk in hashes():
            # The last range takes what division leaves over.
            own = np.minimum(chunk // width, np.uint64(parts - 1)) == part
            chosen = np.flatnonzero(own)
            values.append(chunk[chosen])
            numbers.append(chosen + first)
            first += len(chunk)
        if values:
            yield np.concatenate(values), np.concatenate(numbers)


def _store(signatures: Column, documents: int, near: MinHash, rows: Path, bands: Path) -> None:
    """Write signatures row by row, and the hashes of their bands band by band."""
    width = near.permutations // near.bands
    first = 0
    with rows.open("wb") as table, bands.open("wb") as columns:
        for chunk in signatures():  # [n, P]
            table.write(np.ascontiguousarray(chunk, np.uint32).data)
            for band in range(near.bands):
                columns.seek((band * documents + first) * 8)
                numbers = chunk[:, band * width : (band + 1) * width]  # [n, W]
                columns.write(_hash_rows(numbers).data)
            first += len(chunk)


def _hash_rows(numbers: np.ndarray) -> np.ndarray:
    """Hash each row of u32 [n, W] to u64 [n] (FNV-1a, its high bits mixed); overflow is meant."""
    value = np.full(len(numbers), 0xCBF29CE484222325, np.uint64)
    for column in numbers.T:
        value = (value ^ column) * np.uint64(0x100000001B3)
        value ^= value >> np.uint64(29)
    mixed: np.ndarray = value * np.uint64(0x9E3779B97F4A7C15)
    return mixed


def _read_band(path: Path, start: int, count: int) -> Iterator[np.ndarray]:
    """Stream `count` hashes of the file of bands, from the one at `start`."""
    with path.open("rb") as file:
        file.seek(start * 8)
        while count:
            chunk = np.fromfile(file, np.uint64, min(count, _HELD // 4))
            count -= len(chunk)
            yield chunk


def _compare(
    values: np.ndarray, numbers: np.ndarray, rows: Path, near: MinHash, gone: np.ndarray
) -> None:
    """Mark in `gone` the documents that agree with the first or the previous one of their bucket.

    Args:
        values: u64 [n], the documents' hashes of one band.
        numbers: i64 [n], the documents.
        rows: file of all signatures.
        near: length of a signature, and the threshold.
        gone: bool [D], changed in place.

    """
    # A bucket is a run of equal hashes; `firsts` names the place of the first of each.
    order = np.argsort(values, kind="stable")
    values, numbers = values[order], numbers[order]  # [n]
    starts = np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])
    firsts = np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))

    candidates = np.flatnonzero(~starts & ~gone[numbers])
    for start in range(0, len(candidates), _ROWS):
        places = candidates[start : start + _ROWS]
        later = _read_signatures(rows, numbers[places], near.permutations)  # [R, P]
        for others in (firsts[places], places - 1):
            earlier = _read_signatures(rows, numbers[others], near.permutations)  # [R, P]
            alike = (later == earlier).mean(axis=1) >= near.threshold  # [R]
            gone[numbers[places[alike]]] = True


def _read_signatures(path: Path, documents: np.ndarray, permutations: int) -> np.ndarray:
    """Read the signatures u32 [n, P] of some documents.

    The file is mapped anew each time and without read-ahead, so that no pages pile up.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        if hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)
        table = np.frombuffer(mapped, np.uint32).reshape(-1, permutations)
        signatures: np.ndarray = table[documents]
        del table  # or the mapping could not be closed
    return signatures
