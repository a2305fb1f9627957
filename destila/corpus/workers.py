"""Chunks of all sources, made on every core, each into a file that is made only once.

A worker is a fresh process that ends with the one that started it. How many chunks are under way is
bounded, so memory does not depend on the length of the sources.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from destila.children import begin_worker, safe_path
from destila.corpus.chunks import Chunk, ChunkOptions, make_chunk
from destila.corpus.documents import documents
from destila.errors import DataError
from destila.files import replacing, write_text
from destila.reading.blame import Blaming
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer
from destila.tokenizer.word_cache import WordCache

_DONE = "done"


@dataclass(frozen=True, slots=True)
class TextSource:
    """A file of raw text, and how it is cut into chunks.

    folder: where its chunks lie. column: field of the text in JSON lines and Parquet.
    chunk_characters, document_characters: after which a chunk is full, and a document cut.
    """

    path: Path
    folder: Path
    column: str
    chunk_characters: int
    document_characters: int


def make_chunks(
    sources: Sequence[TextSource],
    tokenizer: str,
    options: ChunkOptions,
    *,
    workers: int,
    progress: Callable[[str, int], None],
) -> list[Path]:
    """Make the chunks of all sources that are not there; return the files of all, in order.

    Args:
        sources: the files of text.
        tokenizer: folder or file that every worker reads the tokenizer from.
        options: how documents become chunks.
        workers: processes; with 1 the work is done in this one.
        progress: called with a source's name and the number of its chunks.

    Raises:
        DataError: a source cannot be read, or a worker was ended from outside.

    """
    _work(_missing_jobs(sources, tokenizer, options, progress), workers)
    return chunk_paths(sources)


def make_part(
    source: TextSource, tokenizer: str, options: ChunkOptions, part: int, parts: int
) -> int:
    """Make the missing chunks with `number % parts == part` in this process; count all chunks."""
    number = -1
    for number, batch in enumerate(_batches(source)):
        path = chunk_path(source, number)
        if number % parts == part and not path.is_file():
            _do(_Job(path, batch, tokenizer, options))
    return number + 1


def read_chunk(path: Path, *names: str) -> Chunk:
    """Read some arrays of a chunk, and leave the others on disk."""
    remedy = f"delete {path.parent} and make the corpus again"
    damaged = Blaming(DataError, f"{path} is no chunk of text", remedy=remedy)
    with damaged, np.load(path, allow_pickle=False) as chunk:
        return {name: chunk[name] for name in names}


def chunk_paths(sources: Sequence[TextSource]) -> list[Path]:
    """List the files of all chunks that are there, in the order of their documents."""
    paths: list[Path] = []
    for source in sources:
        paths += sorted(source.folder.glob("*.npz"))
    return paths


def chunk_path(source: TextSource, number: int) -> Path:
    """Return where a chunk lies."""
    return source.folder / f"{number:06d}.npz"


def is_done(source: TextSource) -> bool:
    """Tell whether all chunks of a source have been made."""
    return (source.folder / _DONE).is_file()


def mark_done(source: TextSource) -> None:
    """Mark a source whose chunks have all been made."""
    write_text(source.folder / _DONE, "all chunks of this source are here\n")


@dataclass(frozen=True, slots=True)
class _Job:
    """A chunk to make."""

    path: Path
    documents: list[list[str]]
    tokenizer: str
    options: ChunkOptions


def _missing_jobs(
    sources: Sequence[TextSource],
    tokenizer: str,
    options: ChunkOptions,
    progress: Callable[[str, int], None],
) -> Iterator[_Job | TextSource]:
    """Yield the missing chunks of each source, then the source itself: no more of it will come."""
    for source in sources:
        if is_done(source):
            continue
        number = -1
        for number, batch in enumerate(_batches(source)):
            progress(source.path.name, number)
            path = chunk_path(source, number)
            if not path.is_file():
                yield _Job(path, batch, tokenizer, options)
        if number >= 0:
            yield source


def _batches(source: TextSource) -> Iterator[list[list[str]]]:
    """Cut the documents of a source into chunks' worth."""
    lines_of = documents(source.path, column=source.column, longest=source.document_characters)
    batch: list[list[str]] = []
    size = 0
    for lines in lines_of:
        batch.append(lines)
        size += sum(map(len, lines))
        if size >= source.chunk_characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _work(jobs: Iterable[_Job | TextSource], workers: int) -> None:
    """Do every job; a source is marked as done only when all jobs before the mark have been."""
    if workers == 1:
        for job in jobs:
            mark_done(job) if isinstance(job, TextSource) else _do(job)
        return

    with safe_path():
        _work_together(jobs, workers)


def _work_together(jobs: Iterable[_Job | TextSource], workers: int) -> None:
    """Do every job in several processes."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin_worker)
    waiting: deque[Future[None]] = deque()
    try:
        for job in jobs:
            if isinstance(job, TextSource):
                _drain(waiting, 0)
                mark_done(job)
                continue

            # Two jobs per worker keep all of them busy, and memory bounded.
            waiting.append(pool.submit(_do, job))
            _drain(waiting, 2 * workers)
        _drain(waiting, 0)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker was ended from outside, perhaps for want of memory: start again, with fewer "
            "workers or smaller chunks; finished chunks are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _drain(waiting: deque[Future[None]], left: int) -> None:
    """Wait for the oldest jobs until so many are left."""
    while len(waiting) > left:
        waiting.popleft().result()


def _do(job: _Job) -> None:
    """Make a chunk and write its file."""
    tokenizer, words = _tokenizer(job.tokenizer)
    chunk = make_chunk(job.documents, tokenizer, job.options, words)
    with replacing(job.path) as temporary, temporary.open("wb") as file:
        np.savez(file, **chunk)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _tokenizer(folder: str) -> tuple[Tokenizer, WordCache]:
    """Load the tokenizer of a process once, with a cache of its words."""
    tokenizer = load_tokenizer(folder)
    return tokenizer, WordCache(tokenizer)
