"""Windows kept in a file: read where they are needed, on pages that the system can drop again.

The windows of 100,000 questions weigh more than a gigabyte as Python objects. Here every window is a run of integers in
one unnamed, memory-mapped file, made once; a `Features` is cut out of it when it is asked for.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np

from destila.errors import DataError
from destila.types import Encoded, Example, Features

_CHUNK = 1024
"""Examples encoded before they are written: what is in memory at once."""

_HEADER = 10


class Windows(Sequence[Features]):
    """Features by position, on the pages of a file; holds ten integers and a place per window."""

    def __init__(self, data: np.ndarray, headers: np.ndarray, places: np.ndarray) -> None:
        """Use `pack`. headers: i32 [N, 10] of `_numbers`; places: i64 [N], where in `data` each window starts."""
        self._data, self._headers, self._places = data, headers, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, position: int) -> Features: ...
    @overload
    def __getitem__(self, position: slice) -> list[Features]: ...
    def __getitem__(self, position: int | slice) -> Features | list[Features]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        row, window, start, low, high, tokens, units, targets, cells, held = self._headers[position].tolist()
        sizes = (tokens, tokens, 2 * tokens, tokens, units, targets, cells)
        ends = list(accumulate(sizes, initial=int(self._places[position])))
        ids, types, spans, unit, owned, target, held_cells = (self._data[a:b] for a, b in pairwise(ends))
        return Features(
            row=row,
            window=window,
            input_ids=ids,
            type_ids=types,
            spans=spans.reshape(-1, 2),
            unit=unit,
            start=start,
            owned=owned.astype(bool),
            target=target,
            cells=held_cells if held else None,
            planned=(low, high),
        )

    def __iter__(self) -> Iterator[Features]:
        return (self[i] for i in range(len(self)))


def pack(encode: Callable[[Sequence[Example]], Encoded], examples: Sequence[Example], folder: Path) -> Encoded:
    """What `encode` makes of the examples, its features in an unnamed file on the disk of `folder`.

    Raises DataError when the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers, places, notes = array("i"), array("q"), Counter[str]()
    with tempfile.TemporaryFile(dir=folder) as file:
        for first in range(0, len(examples), _CHUNK):
            encoded = encode(examples[first : first + _CHUNK])
            notes.update(encoded.notes)
            for f in encoded.features:
                headers.extend(_numbers(f, first))
                places.append(file.tell() // 4)
                _write(file, f, folder)
        file.flush()
        data = np.memmap(file, np.int32, "r").view(np.ndarray) if file.tell() else np.empty(0, np.int32)
    numbers = np.array(headers, np.int32).reshape(-1, _HEADER)
    return Encoded(Windows(data, numbers, np.array(places, np.int64)), dict(notes))


def _numbers(f: Features, first: int) -> tuple[int, ...]:
    cells = 0 if f.cells is None else len(f.cells)
    sizes = (len(f.input_ids), len(f.owned), len(f.target), cells, int(f.cells is not None))
    return (f.row + first, f.window, f.start, *f.planned, *sizes)


def _write(file: BinaryIO, f: Features, folder: Path) -> None:
    cells = [] if f.cells is None else [f.cells]
    parts = [f.input_ids, f.type_ids, f.spans.ravel(), f.unit, f.owned, f.target, *cells]
    data = np.concatenate([np.asarray(part, np.int32) for part in parts]).tobytes()
    try:
        file.write(data)
    except OSError as error:
        raise DataError(f"cannot write the encoded windows to {folder} ({error.strerror}): make room there") from error
