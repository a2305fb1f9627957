"""Chunks over a cluster: what a task answers, and what is refused.

The cluster itself runs in test_build_corpus_cluster.py.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from destila.cluster import restored_error
from destila.corpus import ray_workers, workers
from destila.corpus.chunks import ChunkOptions, MinHash
from destila.corpus.filters import Filters
from destila.corpus.workers import TextSource
from destila.errors import ConfigError, DataError

OPTIONS = ChunkOptions(near=MinHash(use=False), filters=Filters(min_words=1, min_function_words=0))
VERSIONS = {"tokenizers": version("tokenizers")}


@pytest.fixture
def source(tmp_path, wordpiece) -> TextSource:
    wordpiece.save(tmp_path / "tokenizer")
    (tmp_path / "a.txt").write_text(
        "\n\n".join(f"El niño comió {n} veces." for n in range(12)), encoding="utf-8"
    )
    return TextSource(tmp_path / "a.txt", tmp_path / "work", "text", 50, 1000)


def done(source: TextSource, part: int, parts: int, versions: dict[str, str] = VERSIONS) -> dict:
    row = {"source": 0, "part": part, "parts": parts}
    tokenizer = str(source.path.with_name("tokenizer"))
    return ray_workers._do(
        row, sources=[source], tokenizer=tokenizer, options=OPTIONS, versions=versions
    )


def test_parts_of_a_source_are_its_chunks_each_once(source):
    whole = replace(source, folder=source.folder / "whole")
    count = done(whole, 0, 1)["chunks"]
    assert count == 4
    assert [done(source, part, 3)["chunks"] for part in (2, 0)] == [count, count]
    kept = {path: path.stat().st_mtime_ns for path in workers.chunk_paths([source])}
    assert len(kept) == count - len(range(1, count, 3))
    done(source, 1, 3)
    assert done(source, 0, 1) == {
        "source": 0,
        "chunks": count,
        "error": "",
        "message": "",
        "errno": 0,
        "file": "",
    }
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), (
        "a finished chunk was made again"
    )
    for path, expected in zip(
        workers.chunk_paths([source]), workers.chunk_paths([whole]), strict=True
    ):
        with np.load(path) as one, np.load(expected) as other:
            assert one.files == other.files
            assert all((one[name] == other[name]).all() for name in one.files)


def test_an_error_comes_back_as_what_it_was(source, monkeypatch):
    source.path.write_bytes(b"bien\nmal\x00mal\n")
    with pytest.raises(DataError, match="line 2 holds a zero byte"):
        raise restored_error(done(source, 0, 1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a")

    monkeypatch.setattr(workers, "replacing", full)
    source.path.write_text("El niño comió.\n", encoding="utf-8")
    error = restored_error(done(source, 0, 1))
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.filename) == (
        errno.ENOSPC,
        "No space left on device",
        "a",
    )


def test_a_machine_with_another_version_is_refused(source):
    error = restored_error(done(source, 0, 1, {"tokenizers": "0.1"}))
    assert isinstance(error, ConfigError)
    assert "the corpus is made with tokenizers 0.1: install the same versions" in str(error)
    assert not source.folder.exists()


def test_chunks_that_cannot_be_seen_are_not_taken_for_made(source):
    count = done(source, 0, 1)["chunks"]
    workers.chunk_path(source, 1).unlink()
    with pytest.raises(
        DataError,
        match=rf"000001.npz was made but is not there \(1 of {count} chunks\): is `out` a",
    ):
        ray_workers._close(source, count)
    assert not workers.is_done(source)


def test_work_is_cut_by_size(tmp_path, source):
    sizes = {"big": 900, "small": 90, "tiny": 10}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"a" * size)
    sources = [replace(source, path=Path(tmp_path / name)) for name in sizes]
    parts = [
        [t.parts for t in ray_workers._plan(sources, [0, 1, 2], 10) if t.source == n]
        for n in range(3)
    ]
    assert parts == [[9] * 9, [1], [1]]
