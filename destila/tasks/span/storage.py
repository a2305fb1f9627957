"""Windows of a whole data set in one flat array: 100,000 questions cost next to no memory.

Every window is a few numbers and one block of tokens. Blocks stand in one array, in memory while it
is small and in a mapped temporary file (deleted already: nothing is left behind, whatever happens)
above `SPILL_BYTES`; `Features` are views made when asked for. The file lies where Python puts
temporary files: set TMPDIR to put it elsewhere.

    heads     one row of 12 numbers per window
    blocks    ids | types | units | spans  of window 0, then of window 1, ...: 5 numbers per token
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Sequence
from typing import IO, NamedTuple, overload

import numpy as np

from destila.errors import DataError
from destila.types import Features

SPILL_BYTES = 32 << 20
"""Up to here the blocks stay in memory; also how much is held before it is written."""

_PER_TOKEN = 5  # id, type, unit, span start, span end
_ITEM = np.dtype(np.int32).itemsize


class Head(NamedTuple):
    """What a stored window is beside its tokens; see `types.Features`.

    low, high: `planned`.
    before, after: how many of its units stand before and behind the context's units, which are
        `units` from the `skipped`-th planned one on.
    first, last: `target`.
    length: tokens.

    Example: of question 3 the second window, which reads the last 2 of 5 planned units:

        Head(row=3, window=1, start=7, low=6, high=12, before=1, skipped=3, units=2, after=0,
             first=0, last=0, length=14)
    """

    row: int
    window: int
    start: int
    low: int
    high: int
    before: int
    skipped: int
    units: int
    after: int
    first: int
    last: int
    length: int


class StoredFeatures(Sequence[Features]):
    """The windows that a `Writer` was given, in order; each access makes a fresh view."""

    def __init__(self, heads: np.ndarray, blocks: np.ndarray) -> None:
        """Lay views over stored windows.

        Args:
            heads: i32 [N, 12], one `Head` each.
            blocks: i32 [5 * tokens], flat.
        """
        self._heads, self._blocks = heads, blocks

        # where the block of each window begins
        sizes = heads[:, -1].astype(np.int64) * _PER_TOKEN
        self._offsets = np.cumsum(sizes) - sizes

        # every window owns all its units: one read-only array serves them all
        self._owned = np.ones(int(heads[:, 5:9].sum(1).max(initial=0)), bool)
        self._owned.flags.writeable = False

    def __len__(self) -> int:
        return len(self._heads)

    @overload
    def __getitem__(self, at: int) -> Features: ...
    @overload
    def __getitem__(self, at: slice) -> list[Features]: ...
    def __getitem__(self, at: int | slice) -> Features | list[Features]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]

        # n tokens: ids, types, units, spans, one after the other
        h = Head(*self._heads[at].tolist())
        offset, n = int(self._offsets[at]), h.length
        block = self._blocks[offset : offset + _PER_TOKEN * n]
        units = h.before + h.units + h.after
        return Features(
            row=h.row,
            window=h.window,
            input_ids=block[:n],
            type_ids=block[n : 2 * n],
            unit=block[2 * n : 3 * n],
            spans=block[3 * n :].reshape(n, 2),
            start=h.start,
            owned=self._owned[:units],
            target=self._heads[at, 9:11],
            cells=_cells(h, units),
            planned=(h.low, h.high),
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of all tokens, in memory or on disk."""
        return int(self._blocks.nbytes)


def _cells(h: Head, units: int) -> np.ndarray:
    """Count off the cells of a window's units in its example's row, i32 [units]."""
    # first those before the context, then the context's from where this window starts to read
    cells = np.arange(h.low, h.low + units, dtype=np.int32)
    cells[h.before :] += h.skipped

    # those behind the context close the planned cells
    if h.after:
        cells[-h.after :] = np.arange(h.high - h.after, h.high)
    return cells


class Writer:
    """Takes windows one after the other; `finish` returns them all. One use."""

    def __init__(self) -> None:
        self._heads = array("i")
        self._parts: list[np.ndarray] = []
        self._held = 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._heads) // len(Head._fields)

    def add(
        self,
        head: Head,
        input_ids: np.ndarray,
        type_ids: np.ndarray,
        unit: np.ndarray,
        spans: np.ndarray,
    ) -> None:
        """Keep one window.

        Args:
            head: what it is beside its tokens, `head.length` = L of them.
            input_ids: i32 [L].
            type_ids: i32 [L].
            unit: i32 [L].
            spans: i32 [L, 2].
        """
        self._heads.extend(head)
        self._parts += [input_ids, type_ids, unit, spans.ravel()]
        self._held += _PER_TOKEN * head.length * _ITEM

        if self._held > SPILL_BYTES:
            self._spill()

    def finish(self) -> StoredFeatures:
        """Return all windows, in the order in which they came."""
        heads = np.array(self._heads, np.int32).reshape(-1, len(Head._fields))
        if self._file is None:
            return StoredFeatures(heads, _joined(self._parts))

        # what was written before needs the rest behind it
        self._spill()
        with self._file:  # the mapping outlives it
            # a plain array on the mapping: slices of np.memmap are many times slower to make
            return StoredFeatures(heads, np.asarray(np.memmap(self._file, np.int32, "r")))

    def _spill(self) -> None:
        """Move the blocks in memory to the file; raise DataError when the disk is full."""
        try:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  (closed by finish)
            self._file.write(_joined(self._parts).data)
            self._file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise DataError(
                f"windows cannot be written to {where} ({error}): free space or set TMPDIR"
            ) from error

        self._parts, self._held = [], 0


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Put flat arrays behind each other, i32."""
    return np.concatenate(parts).astype(np.int32, copy=False) if parts else np.zeros(0, np.int32)
