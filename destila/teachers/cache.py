"""A teacher's logits for every example, on disk: computed once, read by every epoch and student.

A row is the teacher's logits for the units of one example, [U, C] in our label order, under a
128-bit key of the example's text. So the cache survives shuffling, other batch sizes, other
students and other student tokenizers (a cache keyed by whole batches forces a fixed order: Speedy
Gonzales could not shuffle).

A folder holds `meta.json`, `rows.bin` and `index.bin` (see `cache_files.py`). One process fills at
a time, under a lock that the system drops when the process dies; a second one waits and then has
nothing left to do.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from destila.config import fingerprint
from destila.errors import CacheError
from destila.files import locked, waiting
from destila.hub import cache_root
from destila.teachers.cache_files import INDEX_BYTES, Segment, read_meta, write_meta
from destila.types import Example

log = logging.getLogger(__name__)

WRITTEN = "written"
"""Of an example's `meta`: the text that its teacher reads, where the student reads another case."""

CACHE_CHUNK = 1024
"""Texts that a teacher is asked about at once, and that are written at once."""

CACHE_FORMAT = 1
WINDOW_RULE = 1
"""Version of the window rule of `tasks.encode`: raise it when equal text may get other logits."""

PredictRows = Callable[[Sequence[Example]], Iterable[np.ndarray]]
"""What fills a cache: the rows [U, C] of some examples, in order."""


def cache_spec(
    *,
    teacher: str,
    tokenizer: str,
    max_length: int,
    task: str,
    labels: Sequence[str],
    unit: str,
    source: str = "",
) -> dict[str, Any]:
    """Return everything that a row depends on beside its text; two equal specs share a cache.

    Args:
        teacher: fingerprint of its weights.
        tokenizer: fingerprint.
        max_length: most tokens of a window.
        task: its name.
        labels: in the order of the logits.
        unit: rule from tokens to units, `task.unit_rule`.
        source: the teacher's name for people, not part of the key.
    """
    return {
        "teacher": teacher,
        "tokenizer": tokenizer,
        "max_length": max_length,
        "windows": WINDOW_RULE,
        "unit": unit,
        "task": task,
        "labels": list(labels),
        "source": source,
    }


def teacher_cache_root() -> Path:
    """Return `$DESTILA_CACHE/teacher`, else `~/.cache/destila/teacher`."""
    return cache_root() / "teacher"


def example_keys(examples: Sequence[Example]) -> np.ndarray:
    """Return keys u64 [N, 2] of the examples' text, pair and words; id and target do not count."""
    keys = np.empty((len(examples), 2), "<u8")
    for i, example in enumerate(examples):
        keys[i] = np.frombuffer(_digest(example), "<u8")
    return keys


def _as_written(example: Example) -> Example:
    """Return what a teacher reads in the place of an example, whose units are the same."""
    return replace(example, text=example.meta.get(WRITTEN, example.text))


def _digest(example: Example) -> bytes:
    """Return 16 bytes that stand for what a teacher reads of an example."""
    text = example.meta.get(WRITTEN, example.text).encode("utf-8", "surrogatepass")
    pair = b"" if example.pair is None else b"\1" + example.pair.encode("utf-8", "surrogatepass")

    # lengths first, so that no two examples give the same bytes
    digest = hashlib.blake2b(len(text).to_bytes(8, "little"), digest_size=16)
    digest.update(text)
    digest.update(len(pair).to_bytes(8, "little"))
    digest.update(pair)
    digest.update(array("q", chain.from_iterable(example.words)).tobytes())
    return digest.digest()


def count_units(example: Example) -> int:
    """Return about how many rows of logits an example has.

    Its words, one, or for a question the words of its context. Overlapping windows of a long
    context hold a third more.
    """
    if example.answers is not None and example.pair is not None:
        return 1 + len(example.pair.split())
    return len(example.words) or 1


def estimate_cache(
    examples: Sequence[Example],
    classes: int,
    dtype: str = "float16",
    seconds_per_example: float = 0.0,
) -> dict[str, float]:
    """Return what caching these examples will take: `megabytes` (10^6 bytes) and `minutes`.

    Args:
        examples: all that the teacher will read.
        classes: logits of a unit.
        dtype: of the cache.
        seconds_per_example: of the teacher.
    """
    row = np.dtype(dtype).itemsize * classes
    size = sum(count_units(example) * row + INDEX_BYTES for example in examples)
    return {"megabytes": size / 1e6, "minutes": len(examples) * seconds_per_example / 60}


class RowsView:
    """Cached logits by position: `view[i]` is [U, C], read-only, on the file's own pages.

    It holds two integers per example, whatever the rows weigh. Copy what you keep or write to.
    """

    def __init__(
        self, data: np.ndarray, offsets: np.ndarray, units: np.ndarray, classes: int
    ) -> None:
        """View rows of a file.

        Args:
            data: all logits, flat.
            offsets: where each example's start, i64 [N].
            units: of each example, i64 [N].
            classes: logits of a unit.
        """
        self._data = data
        self._offsets = offsets
        self.units = units
        self.classes = classes

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, position: int) -> np.ndarray:
        start, units = int(self._offsets[position]), int(self.units[position])
        return self._data[start : start + units * self.classes].reshape(units, self.classes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))


class Cache:
    """One teacher's rows. `Cache.open(...)`, `fill(...)` what is missing, then `rows(...)`."""

    def __init__(self, folder: Path, classes: int, dtype: str) -> None:
        """Use `Cache.open`, which checks the folder."""
        self.folder = folder
        self.classes = classes
        self.dtype = np.dtype(dtype)
        self._segment = Segment(folder)
        self._order: np.ndarray | None = None  # positions that sort the keys; None: not computed

    @classmethod
    def open(
        cls, folder: Path | None, spec: Mapping[str, Any], classes: int, dtype: str = "float16"
    ) -> Cache:
        """Return the cache of a spec, created when absent.

        Args:
            folder: None: the spec's own folder under `teacher_cache_root()`.
            spec: what the rows depend on, see `cache_spec`.
            classes: logits of a unit.
            dtype: float16 or float32.

        Raises:
            CacheError: the folder holds another spec's rows, another format, or damaged files.
        """
        if dtype not in ("float16", "float32"):
            raise CacheError(f"cache dtype = '{dtype}': use float16 or float32")

        # the source is for people: the same teacher under another name is the same cache
        keyed = {name: value for name, value in spec.items() if name != "source"}
        key = fingerprint(CACHE_FORMAT, keyed, classes, dtype)
        meta = {
            "format": CACHE_FORMAT,
            "key": key,
            "classes": classes,
            "dtype": dtype,
            "spec": dict(spec),
        }
        folder = teacher_cache_root() / key if folder is None else Path(folder)
        _create(folder, meta)

        on_disk = read_meta(folder, CACHE_FORMAT)
        if on_disk["key"] != key:
            differs = [name for name in sorted(keyed) if keyed[name] != on_disk["spec"].get(name)]
            what = ", ".join(differs) or "classes or dtype"
            raise CacheError(
                f"the cache in {folder} was made with another {what}: delete folder {folder}"
            )
        return cls(folder, classes, dtype)

    def __len__(self) -> int:
        return len(self._segment.units)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._segment.size_bytes

    def missing(self, examples: Sequence[Example]) -> list[int]:
        """Return the positions of examples without a row; of equal texts only the first."""
        return self._missing(example_keys(examples))

    def fill(
        self,
        examples: Sequence[Example],
        predict: PredictRows,
        *,
        chunk: int = CACHE_CHUNK,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Ask the teacher about every example without a row; return how many that were.

        Args:
            examples: afterwards each has a row.
            predict: logits [U, C] of a list of examples, in order.
            chunk: examples per write; a kill loses at most one chunk.
            progress: called with (done, total) after each chunk.

        Raises:
            CacheError: logits are not finite or have another shape, or the disk is full; complete
                chunks stay.
        """
        with locked(self.folder / "lock", waiting(log, "fills the teacher cache", self.folder)):
            self._segment.refresh()  # another process may have filled since
            self._order = None
            keys = example_keys(examples)
            todo = self._missing(keys)

            self._check_room([examples[i] for i in todo[:4096]], len(todo))
            self._segment.drop_torn_tail()

            for start in range(0, len(todo), chunk):
                positions = todo[start : start + chunk]
                part = [_as_written(examples[i]) for i in positions]
                rows = [self._checked(row, e) for row, e in zip(predict(part), part, strict=True)]
                self._segment.append(keys[positions], rows)
                self._order = None
                if progress is not None:
                    progress(start + len(part), len(todo))

        return len(todo)

    def rows(self, examples: Sequence[Example]) -> RowsView:
        """Return the rows of the examples, in their order.

        Raises:
            CacheError: an example was never filled, or the data are damaged.
        """
        place = self._find(example_keys(examples))  # [N]
        absent = np.flatnonzero(place < 0)
        if len(absent):
            name = examples[int(absent[0])].id
            raise CacheError(
                f"{len(absent)} of {len(examples)} examples (first: '{name}') "
                f"have no row in {self.folder}: fill first"
            )

        units = self._segment.units.astype(np.int64)  # of all rows
        offsets = (np.cumsum(units) - units)[place] * self.classes  # [N]
        return RowsView(self._segment.data(self.dtype), offsets, units[place], self.classes)

    def _missing(self, keys: np.ndarray) -> list[int]:
        """Return the positions of keys [N, 2] without a row; of equal keys only the first."""
        absent = np.flatnonzero(self._find(keys) < 0)
        if not len(absent):
            return []

        # stable: of equal keys the first comes first
        order = np.lexsort((keys[absent, 1], keys[absent, 0]))
        ordered = keys[absent[order]]
        new = np.append(True, (ordered[1:] != ordered[:-1]).any(1))
        return [int(i) for i in np.sort(absent[order[new]])]

    def _find(self, keys: np.ndarray) -> np.ndarray:
        """Return the row number of each key i64 [N], -1 where there is none."""
        known = self._segment.keys
        if not len(known):
            return np.full(len(keys), -1, np.int64)
        if self._order is None:
            self._order = np.lexsort((known[:, 1], known[:, 0]))

        # as big-endian bytes, keys compare like the pairs of numbers that lexsort ordered
        table, wanted = _as_bytes(known[self._order]), _as_bytes(keys)
        place = np.searchsorted(table, wanted).clip(max=len(table) - 1)
        rows: np.ndarray = np.where(table[place] == wanted, self._order[place], -1)
        return rows

    def _checked(self, row: np.ndarray, example: Example) -> np.ndarray:
        """Return a teacher's row in the cache's dtype; raise CacheError when it does not fit."""
        row = np.asarray(row)
        if row.ndim != 2 or row.shape[1] != self.classes:
            raise CacheError(
                f"teacher logits of '{example.id}' are {list(row.shape)}, "
                f"not [units, {self.classes}]"
            )
        if not np.isfinite(row).all():
            raise CacheError(
                f"teacher logits of example '{example.id}' are not finite: "
                "check the teacher's weights and that text"
            )

        # half precision ends at 65,504
        with np.errstate(over="ignore"):
            kept = row.astype(self.dtype)
        if not np.isfinite(kept).all():
            raise CacheError(
                f"teacher outputs of '{example.id}' reach {np.abs(row).max():.3g}, "
                f"too large for {self.dtype}: use float32"
                " (distil.dtype; for hidden states distil.states = 'live')"
            )
        return kept

    def _check_room(self, sample: Sequence[Example], count: int) -> None:
        """Raise CacheError when `count` examples like those of a sample need more than is free."""
        if not sample:
            return

        of_sample = estimate_cache(sample, self.classes, self.dtype.name)["megabytes"]
        needed = of_sample * count / len(sample)
        free = shutil.disk_usage(self.folder).free / 1e6
        if needed > free:
            raise CacheError(
                f"the teacher cache needs {needed:.0f} MB, {free:.0f} MB are free in "
                f"{self.folder}: make room, or set DESTILA_CACHE to another disk"
            )


def _as_bytes(keys: np.ndarray) -> np.ndarray:
    """Return keys u64 [N, 2] as 16-byte values [N] that numpy can search.

    They are void: strings would drop trailing zeros.
    """
    return np.ascontiguousarray(keys.astype(">u8")).view("V16")[:, 0]


def _create(folder: Path, meta: Mapping[str, Any]) -> None:
    """Make a folder a cache unless it is one; two processes may do so at once."""
    if folder.exists() and not folder.is_dir():
        raise CacheError(f"{folder} is a file, not a cache folder: give another one")

    # list the folder before looking for meta.json, which another process may write in between
    inside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if (folder / "meta.json").exists():
        return
    foreign = [name for name in inside if not name.startswith(("meta.json", ".meta.json"))]
    if foreign:
        raise CacheError(
            f"{folder} is not a teacher cache (it holds '{foreign[0]}'): delete folder {folder}"
        )

    try:
        write_meta(folder, meta)
    except OSError as error:
        raise CacheError(
            f"cannot make {folder} ({error.strerror}): set DESTILA_CACHE to a folder you own"
        ) from error
