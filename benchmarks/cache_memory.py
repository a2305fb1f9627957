"""Memory of reading a large teacher cache: fills one with invented rows, then reads it in random order.

    python benchmarks/cache_memory.py [--rows 1000000] [--units 40] [--classes 9] [--dtype float16]

Prints one JSON line. Reading happens in a fresh process, which samples its own `smaps_rollup`
(Linux): anonymous pages are memory the process needs; file-backed pages belong to the cache file
and the system can drop them at any time, so they are reported apart. The bar: anonymous memory
grows by less than 200 MB at 1,000,000 x 40 x 9.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from destila.teachers.cache import Cache, cache_spec
from destila.types import Example

MEGABYTE = 1e6


class Invented(Sequence[Example]):
    """Examples made when asked for, so that the data set's own memory is not in the measurement."""

    def __init__(self, rows: int, units: int) -> None:
        self.rows, self.tail = rows, " dos" * (units - 1)
        self.words = ((0, 8), *((4 * i + 5, 4 * i + 8) for i in range(1, units)))

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, i: int) -> Example:
        if not 0 <= i < self.rows:
            raise IndexError(i)
        return Example(str(i), f"{i:08d}{self.tail}", words=self.words)


def answer(number: int, units: int, classes: int) -> np.ndarray:
    """The invented logits of example `number`, [units, classes]; exact in half precision."""
    return (
        ((number * 31 + np.arange(units * classes)) % 1000)
        .astype(np.float32)
        .reshape(units, classes)
    )


def open_cache(options: argparse.Namespace) -> Cache:
    """The cache of the invented teacher."""
    labels = [str(c) for c in range(options.classes)]
    made = cache_spec(
        teacher="invented",
        tokenizer="none",
        max_length=128,
        task="tag",
        unit="first sub-token",
        labels=labels,
    )
    return Cache.open(Path(options.folder), made, options.classes, options.dtype)


def fill(options: argparse.Namespace) -> None:
    """Writes the invented logits of every example."""

    def predict(examples: Sequence[Example]) -> Iterator[np.ndarray]:
        return (answer(int(e.id), options.units, options.classes) for e in examples)

    open_cache(options).fill(Invented(options.rows, options.units), predict, chunk=16384)


def memory() -> tuple[float, float]:
    """Anonymous and file-backed resident megabytes of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kb = {
        name: float(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines[1:])
    }
    return kb["Anonymous"] * 1024 / MEGABYTE, (kb["Rss"] - kb["Anonymous"]) * 1024 / MEGABYTE


def read(options: argparse.Namespace) -> dict[str, float]:
    """Opens the cache and reads every row in random order; growth is against the state before opening."""
    anonymous, backed = memory()
    peak_anonymous, peak_backed = anonymous, backed
    begin = time.perf_counter()
    view = open_cache(options).rows(Invented(options.rows, options.units))
    opened = time.perf_counter() - begin
    generator, total, begin = np.random.default_rng(0), 0.0, time.perf_counter()
    for count, i in enumerate(generator.permutation(options.rows)):
        total += float(view[i][-1, -1])
        view[i].sum(dtype=np.float32)  # touches every page of the row
        if count % max(1, options.rows // 200) == 0:
            now, now_backed = memory()
            peak_anonymous, peak_backed = max(peak_anonymous, now), max(peak_backed, now_backed)
    seconds = time.perf_counter() - begin
    for i in (0, options.rows // 2, options.rows - 1):
        assert np.array_equal(view[i], answer(i, options.units, options.classes)), (
            f"row {i} is wrong"
        )
    return {
        "anonymous_growth_mb": round(peak_anonymous - anonymous, 1),
        "file_backed_growth_mb": round(peak_backed - backed, 1),
        "open_seconds": round(opened, 1),
        "read_seconds": round(seconds, 1),
    }


def main() -> None:
    """Fills, measures in a fresh process, prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--classes", type=int, default=9)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--folder", help="where to put the cache (default: a temporary folder)")
    parser.add_argument(
        "--read-only", action="store_true", help="read a cache that --folder already holds"
    )
    options = parser.parse_args()
    if options.read_only:
        print(json.dumps(read(options)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or f"{temporary}/cache"
        begin = time.perf_counter()
        fill(options)
        filled = time.perf_counter() - begin
        size = open_cache(options).size_bytes
        same = [
            f"--{name}={getattr(options, name)}"
            for name in ("rows", "units", "classes", "dtype", "folder")
        ]
        child = subprocess.run(
            [sys.executable, __file__, *same, "--read-only"], check=True, capture_output=True
        )
        shape = {
            "rows": options.rows,
            "units": options.units,
            "classes": options.classes,
            "dtype": options.dtype,
        }
        facts = {"benchmark": "cache_memory", **shape, "cache_mb": round(size / MEGABYTE, 1)}
        conditions = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        }
        print(
            json.dumps(
                facts | {"fill_seconds": round(filled, 1)} | json.loads(child.stdout) | conditions
            )
        )


if __name__ == "__main__":
    main()
