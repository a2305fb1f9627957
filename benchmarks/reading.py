"""How fast a user's files are read, beside the plainest Python that gives the same rows.

CSV beside `csv.DictReader`, JSON lines beside `json.loads` of each line, words with tags beside
`str.split`, questions beside `json.load`. Each pair takes turns in one process; the figure is the
median of the ratios, ours to the peer's (1.5: half as fast again as long). Then what must be linear:
files of 1, 2, 4 and 8 times as many lines, and one line of 10, 20, 40 and 80 MB; seconds for each
megabyte. Peak memory is that of a stream through the largest file, whose rows are thrown away.

    python benchmarks/reading.py [--rows 100000] [--passes 5]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from destila.files import open_text
from destila.formats.columns import read_tagged
from destila.formats.squad import read_squad
from destila.formats.tables import table_rows

TEXT = "El Banco de España publicó ayer, en Madrid, sus cuentas del año pasado; suben un 3,5 %."


def main() -> None:
    """Print one JSON object: ratios by kind, seconds a megabyte by size, and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--passes", type=int, default=5)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.rows)
        readers = pairs(folder)
        result: dict[str, Any] = {
            "rows": arguments.rows,
            "ratios": {kind: ratio(*pair, arguments.passes) for kind, pair in readers.items()},
            "seconds_a_mb_by_lines": by_lines(folder, arguments.rows),
            "seconds_a_mb_of_one_line": by_length(folder),
            "peak_mb_of_a_stream": peak(readers["csv"][0]),
            "load": os.getloadavg()[0],
        }
    print(json.dumps(result))


def write(folder: Path, rows: int) -> None:
    """Write one file of each kind."""
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "label"])
        table.writerows([n, TEXT, "ab"[n % 2]] for n in range(rows))
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        for n in range(rows):
            row = {"id": n, "text": TEXT, "label": "ab"[n % 2]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    sentence = "".join(f"{word} O\n" for word in TEXT.split()) + "\n"
    (folder / "a.conll").write_text(sentence * (rows // 10), encoding="utf-8")
    questions = [
        {"id": str(n), "question": "¿Dónde?", "answers": [{"text": "Madrid", "answer_start": 36}]}
        for n in range(rows // 10)
    ]
    articles = [{"paragraphs": [{"context": TEXT, "qas": [each]}]} for each in questions]
    (folder / "a.json").write_text(json.dumps({"data": articles}), encoding="utf-8")


def pairs(folder: Path) -> dict[str, tuple[Callable[[], Iterable[Any]], Callable[[], Any]]]:
    """Return ours and the peer's reader of each kind."""

    def dict_rows() -> Iterator[Any]:
        with (folder / "a.csv").open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)

    def json_rows() -> Iterator[Any]:
        with (folder / "a.jsonl").open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def split_rows() -> Iterator[Any]:
        with (folder / "a.conll").open(encoding="utf-8") as file:
            yield from (line.split() for line in file)

    def tagged() -> Iterator[Any]:
        yield from read_tagged(open_text(folder / "a.conll"), "a.conll")

    def whole() -> Any:
        with (folder / "a.json").open(encoding="utf-8") as file:
            return json.load(file)["data"]

    return {
        "csv": (lambda: table_rows(folder / "a.csv"), dict_rows),
        "jsonl": (lambda: table_rows(folder / "a.jsonl"), json_rows),
        "conll": (tagged, split_rows),
        "squad": (lambda: questions_of(folder / "a.json"), whole),
    }


def questions_of(path: Path) -> Iterable[Any]:
    """Read all questions of a file."""
    return read_squad(path, "train", Counter())


def ratio(ours: Callable[[], Any], peer: Callable[[], Any], passes: int) -> dict[str, float]:
    """Return the median of ours to the peer's time, with the quartiles."""
    ratios = sorted(seconds(ours) / seconds(peer) for _ in range(passes))
    quarters = statistics.quantiles(ratios, n=4) if passes > 1 else ratios * 3
    return dict(zip(("low", "median", "high"), (round(each, 2) for each in quarters), strict=True))


def seconds(read: Callable[[], Iterable[Any]]) -> float:
    """Return how long all rows take, which are thrown away."""
    start = time.perf_counter()
    deque(read(), maxlen=0)
    return time.perf_counter() - start


def by_lines(folder: Path, rows: int) -> dict[int, float]:
    """Return the seconds a megabyte of files of more and more lines."""
    taken = {}
    line = json.dumps({"text": TEXT, "label": "a"}, ensure_ascii=False) + "\n"
    for times in (1, 2, 4, 8):
        path = folder / f"{times}.jsonl"
        path.write_text(line * (times * rows // 2), encoding="utf-8")
        megabytes = path.stat().st_size / 1e6
        taken[times] = round(seconds(lambda path=path: table_rows(path)) / megabytes, 4)
        path.unlink()
    return taken


def by_length(folder: Path) -> dict[int, float]:
    """Return the seconds a megabyte of one line, by its megabytes."""
    taken = {}
    for megabytes in (10, 20, 40, 80):
        path = folder / "line.jsonl"
        path.write_text(json.dumps({"text": "a b " * (megabytes * 250_000)}) + "\n")
        taken[megabytes] = round(seconds(lambda path=path: table_rows(path)) / megabytes, 4)
    return taken


def peak(read: Callable[[], Iterable[Any]]) -> float:
    """Return the megabytes that a stream of rows holds at most."""
    tracemalloc.start()
    deque(read(), maxlen=0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(most / 1e6, 2)


if __name__ == "__main__":
    main()
