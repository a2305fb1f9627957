"""Pieces of all sources, made on every core, each into a file that a killed run does not make again.

A worker is a fresh process that ends with the one that started it. How many pieces are under way is bounded, so memory
does not depend on the length of the sources.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

import numpy as np

from destila.corpus.chunks import ChunkOptions, Piece, make
from destila.corpus.documents import documents
from destila.errors import DataError
from destila.files import write_text, write_with
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_cache import WordCache

_DONE = "done"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of raw text. folder: where its pieces lie. column: field of the text in JSON lines and Parquet.

    piece, document: characters after which a piece is full, and a document cut.
    """

    path: Path
    folder: Path
    column: str
    piece: int
    document: int


def make_all(
    sources: Sequence[Source],
    tokenizer: str,
    making: ChunkOptions,
    *,
    workers: int,
    progress: Callable[[str, int], None],
) -> list[Path]:
    """The files of all pieces in the order of their documents, made unless they are there.

    tokenizer: where it is read from. progress: called with a source's name and its pieces. Raises DataError.
    """
    missing = (
        job
        for source in sources
        if not is_done(source)
        for job in _jobs(source, tokenizer, making, progress)
    )
    _work(missing, workers)
    return paths(sources)


def make_part(source: Source, tokenizer: str, making: ChunkOptions, part: int, parts: int) -> int:
    """How many pieces a source has, after those with `number % parts == part` have been made in this process."""
    number = -1
    for number, batch in enumerate(_batches(source)):
        path = place(source, number)
        if number % parts == part and not path.is_file():
            _do(_Job(path, batch, tokenizer, making))
    return number + 1


def paths(sources: Sequence[Source]) -> list[Path]:
    """The files of all pieces that are there, in the order of their documents."""
    return [path for source in sources for path in sorted(source.folder.glob("*.npz"))]


def place(source: Source, number: int) -> Path:
    """Where a piece lies."""
    return source.folder / f"{number:06d}.npz"


def is_done(source: Source) -> bool:
    """True when all pieces of a source have been made."""
    return (source.folder / _DONE).is_file()


def close(source: Source) -> None:
    """Nothing; marks a source as done."""
    write_text(source.folder / _DONE, "all pieces of this source are here\n")


@dataclass(frozen=True, slots=True)
class _Job:
    """A piece to make."""

    path: Path
    documents: list[list[str]]
    tokenizer: str
    making: ChunkOptions


def _jobs(
    source: Source, tokenizer: str, making: ChunkOptions, progress: Callable[[str, int], None]
) -> Iterator[_Job | Source]:
    """The missing pieces of a source, then the source itself: all of its pieces have been asked for."""
    number = -1
    for number, batch in enumerate(_batches(source)):
        progress(source.path.name, number)
        path = place(source, number)
        if not path.is_file():
            yield _Job(path, batch, tokenizer, making)
    if number >= 0:
        yield source


def _batches(source: Source) -> Iterator[list[list[str]]]:
    held: list[list[str]] = []
    size = 0
    for lines in documents(source.path, column=source.column, longest=source.document):
        held.append(lines)
        size += sum(map(len, lines))
        if size >= source.piece:
            yield held
            held, size = [], 0
    if held:
        yield held


def _work(jobs: Iterable[_Job | Source], workers: int) -> None:
    """Does every job; a source is marked as done only when all jobs before the mark have been."""
    if workers == 1:
        for job in jobs:
            close(job) if isinstance(job, Source) else _do(job)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    waiting: deque[Future[None]] = deque()
    try:
        for job in jobs:
            if isinstance(job, Source):
                _drain(waiting, 0)
                close(job)
                continue
            waiting.append(pool.submit(_do, job))
            _drain(waiting, 2 * workers)
        _drain(waiting, 0)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker was ended from outside, perhaps for want of memory: start again, with fewer workers or smaller "
            "pieces; finished pieces are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _drain(waiting: deque[Future[None]], left: int) -> None:
    while len(waiting) > left:
        waiting.popleft().result()


def _do(job: _Job) -> None:
    tokenizer, words = _tokenizer(job.tokenizer)
    piece = make(job.documents, tokenizer, job.making, words)
    write_with(job.path, lambda file: np.savez(file, **piece))  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _tokenizer(source: str) -> tuple[Tokenizer, WordCache]:
    tokenizer = tokenizers.load_tokenizer(source)
    return tokenizer, WordCache(tokenizer)


def _begin() -> None:
    """Every worker is one of as many as there are cores, so the library's own threads would only be in the way."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def read(path: Path, *names: str) -> Piece:
    """Some arrays of a piece; the others are not read."""
    with np.load(path) as piece:
        return {name: piece[name] for name in names}
