"""The two files of a teacher cache: rows appended in chunks, so a kill loses one chunk at most.

    rows.bin   logits of chunk after chunk, nothing else: it can be memory-mapped as one array
    index.bin  chunk after chunk: a header (rows, bytes of logits, their CRC, the header's CRC), the
               rows' 128-bit keys, their unit counts, and a CRC of keys and counts

Rows reach the disk before the index names them. So an index that ends inside a chunk is what a kill
leaves (that tail is dropped), and every other disagreement is damage: a CacheError that says what
to delete.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from destila.errors import CacheError
from destila.files import write_json
from destila.reading.values import read_json

_HEADER = struct.Struct("<IQI")  # rows, bytes of logits, CRC of the logits
_CRC = struct.Struct("<I")
INDEX_BYTES = 20
"""Bytes of index per row: a 16-byte key and a 4-byte unit count."""


class _ChunkIndex(NamedTuple):
    """What the index says of one chunk. body: where its keys start, in bytes of what was read."""

    rows: int
    size: int
    crc: int
    body: int


class Segment:
    """The committed part of a cache folder: keys u64 [N, 2], unit counts i32 [N], logits."""

    def __init__(self, folder: Path) -> None:
        """Read the index of a folder; raise CacheError when the files disagree."""
        self._folder = folder
        self._rows = folder / "rows.bin"
        self._index = folder / "index.bin"
        self.keys = np.empty((0, 2), "<u8")
        self.units = np.empty(0, "<i4")
        self._index_end = 0
        self._data_end = 0

        # (bytes, CRC) of chunks on disk whose data nobody has compared yet, behind those that are
        self._unchecked: list[tuple[int, int]] = []
        self._checked_end = 0
        self.refresh()

    @property
    def size_bytes(self) -> int:
        """Bytes of committed rows and index."""
        return self._data_end + self._index_end

    def refresh(self) -> None:
        """Read the chunks committed since the last look.

        Raises:
            CacheError: the files disagree.
        """
        if not self._index.exists():
            return
        with self._index.open("rb") as file:
            file.seek(self._index_end)
            tail = file.read()

        # keys and unit counts of one chunk after another
        keys, units, at = [self.keys], [self.units], 0
        while (chunk := self._read_chunk(tail, at)) is not None:
            n, body = chunk.rows, chunk.body
            keys.append(np.frombuffer(tail, "<u8", 2 * n, body).reshape(n, 2))
            units.append(np.frombuffer(tail, "<i4", n, body + 16 * n))
            at = body + INDEX_BYTES * n + _CRC.size
            self._data_end += chunk.size
            self._unchecked.append((chunk.size, chunk.crc))

        self.keys, self.units = np.concatenate(keys), np.concatenate(units)
        self._index_end += at

        # rows reach the disk before the index does
        on_disk = self._rows.stat().st_size if self._rows.exists() else 0
        if on_disk < self._data_end:
            raise self._damaged(f"rows.bin has {on_disk} bytes, its index names {self._data_end}")

    def _read_chunk(self, index: bytes, at: int) -> _ChunkIndex | None:
        """Return the chunk at a byte of what was read; None at its end or torn tail."""
        # the header
        head_end = at + _HEADER.size
        if len(index) < head_end + _CRC.size:
            return None
        rows, size, crc = _HEADER.unpack_from(index, at)
        if _CRC.unpack_from(index, head_end)[0] != zlib.crc32(index[at:head_end]):
            raise self._damaged(f"index.bin is not readable at byte {self._index_end + at}")

        # keys and unit counts
        body = head_end + _CRC.size
        end = body + INDEX_BYTES * rows
        if len(index) < end + _CRC.size:
            return None
        if _CRC.unpack_from(index, end)[0] != zlib.crc32(index[body:end]):
            raise self._damaged(f"index.bin has a wrong checksum at byte {self._index_end + body}")
        return _ChunkIndex(rows, size, crc, body)

    def drop_torn_tail(self) -> None:
        """Cut what a kill left behind the last complete chunk; the caller holds the lock."""
        for path, end in ((self._rows, self._data_end), (self._index, self._index_end)):
            if path.exists() and path.stat().st_size > end:
                os.truncate(path, end)

    def append(self, keys: np.ndarray, rows: Sequence[np.ndarray]) -> None:
        """Commit a chunk; the caller holds the lock.

        Args:
            keys: u64 [N, 2].
            rows: N arrays [U, C].

        Raises:
            CacheError: the disk refuses; the chunks before stay.
        """
        units = np.array([len(row) for row in rows], "<i4")
        data = b"".join(np.ascontiguousarray(row).tobytes() for row in rows)

        header = _HEADER.pack(len(rows), len(data), zlib.crc32(data))
        body = np.ascontiguousarray(keys, "<u8").tobytes() + units.tobytes()
        index = header + _CRC.pack(zlib.crc32(header)) + body + _CRC.pack(zlib.crc32(body))

        # the rows first: what the index names is there
        try:
            _append(self._rows, data)
            _append(self._index, index)
        except OSError as error:
            self.drop_torn_tail()
            raise CacheError(
                f"cannot write the teacher cache {self._folder}: {error.strerror} "
                f"({len(self.units)} rows are kept): make room, or set DESTILA_CACHE to another "
                "disk, and start again"
            ) from error

        self.keys = np.concatenate([self.keys, np.ascontiguousarray(keys, "<u8")])
        self.units = np.concatenate([self.units, units])
        self._data_end += len(data)
        self._index_end += len(index)
        self._unchecked.append((len(data), zlib.crc32(data)))

    def data(self, dtype: np.dtype[Any]) -> np.ndarray:
        """Return all logits, flat and memory-mapped read-only.

        Raises:
            CacheError: bytes have changed on disk.
        """
        self._verify()
        count = self._data_end // dtype.itemsize
        if not count:
            return np.empty(0, dtype)
        return np.memmap(self._rows, dtype, "r", shape=(count,)).view(np.ndarray)

    def _verify(self) -> None:
        """Compare every chunk not yet checked with its CRC, in a buffer that does not grow."""
        if not self._unchecked:
            return

        with self._rows.open("rb") as file:
            file.seek(self._checked_end)
            for size, crc in self._unchecked:
                if _crc_of(file, size) != crc:
                    raise self._damaged(f"rows.bin has changed near byte {self._checked_end}")
                self._checked_end += size
        self._unchecked = []

    def _damaged(self, what: str) -> CacheError:
        return CacheError(f"the teacher cache is damaged: {what}: delete folder {self._folder}")


def _append(path: Path, data: bytes) -> None:
    """Append bytes to a file and wait until they are on the disk."""
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _crc_of(file: BinaryIO, size: int) -> int:
    """Return the CRC of the next `size` bytes of a file."""
    crc = 0
    while size and (block := file.read(min(size, 1 << 20))):
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `meta.json` of a new cache folder, whole or not at all."""
    write_json(folder / "meta.json", meta)


def read_meta(folder: Path, version: int) -> dict[str, Any]:
    """Return the `meta.json` of a cache folder.

    Raises:
        CacheError: it is not one of this version.
    """
    try:
        meta = read_json(folder / "meta.json", CacheError, remedy=f"delete folder {folder}")
    except OSError as error:
        raise CacheError(
            f"{folder / 'meta.json'} cannot be read ({error}): delete folder {folder}"
        ) from error

    if not isinstance(meta, dict) or not {"format", "key", "spec"} <= set(meta):
        raise CacheError(
            f"{folder} is not a teacher cache: delete folder {folder}, or give another one"
        )
    if meta["format"] != version:
        raise CacheError(
            f"the cache in {folder} has format {meta['format']}, this is {version}: "
            f"delete folder {folder}"
        )
    return meta
