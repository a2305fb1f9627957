"""A teacher's answers computed by the machines of a Ray cluster, for the cache of a study.

The missing texts lie in blocks beside the cache, in a folder that all machines see; a worker reads
one, asks the teacher, and writes what it says into a file beside it. Only the numbers of blocks
pass through Ray. A block is made once, so a worker that dies costs the block it was at, and a run
that was killed takes what blocks have. The cache is then filled on the machine of the command, in
the chunks in which it would have asked the teacher itself: with as many threads as a worker has, to
the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from destila import cpu
from destila.cluster import make_blocks
from destila.errors import CacheError, ConfigError, DataError
from destila.files import replacing, write_text
from destila.progress import Progress, silent
from destila.reading.blame import Blaming
from destila.reading.values import parse_json
from destila.study.planning.data import Study, scored_task
from destila.study.planning.distil_options import DistilOptions
from destila.study.planning.encodings import Encodings
from destila.study.planning.recipe import Recipe
from destila.study.planning.teachers import TIMED_TEXTS, RankedTeacher, Teachers
from destila.study.planning.texts import UnlabelledTexts
from destila.teachers.cache import CACHE_CHUNK, WRITTEN, example_keys
from destila.types import Dataset, Example


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a worker needs to know to ask a teacher.

    Args:
        recipe: of the study.
        data: name, task and labels of its data set.
        teacher: in a folder that all machines see.
        options: how it labels.
        spec: what the cache of its answers depends on.
        threads: of a worker.
        folder: of the blocks.
    """

    recipe: Recipe
    data: tuple[str, str, tuple[str, ...]]
    teacher: RankedTeacher
    options: DistilOptions
    spec: dict[str, Any]
    threads: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLabels:
    """A cluster that labels what is not in the cache.

    Args:
        address: as `cluster.connected` takes it.
        workers: 0 = as many as the cluster has GPUs, else processors for.
    """

    address: str
    workers: int = 0

    def answers(
        self,
        study: Study,
        teacher: RankedTeacher,
        options: DistilOptions,
        *,
        spec: dict[str, Any],
        folder: Path,
        missing: Sequence[Example],
        progress: Progress = silent,
    ) -> Callable[[Sequence[Example]], Iterator[np.ndarray]]:
        """Return what fills a cache with the answers of a cluster, made when it is first called.

        Args:
            study: whose texts are labelled.
            teacher: one that is ready.
            options: how it labels.
            spec: what the cache depends on.
            folder: of the cache; all machines see it under this path.
            missing: the texts that are not in it.
            progress: called after every block.

        Raises:
            ConfigError: the teacher labels in a way that only this machine can.
        """
        if options.label_in == "int8":
            raise ConfigError(
                "distil.label_in = 'int8' labels on this machine alone: leave --cluster out, or "
                "label_in as it is by default"
            )
        asked = _Asked(
            recipe=study.recipe,
            data=(study.dataset.name, study.dataset.task, study.labels),
            teacher=replace(teacher, folder=teacher.folder.absolute()),
            options=options,
            spec=spec,
            threads=cpu.threads() if "OMP_NUM_THREADS" in os.environ else 1,
            folder=(folder / "blocks").absolute(),
        )
        rows: dict[bytes, np.ndarray] = {}

        def answer(examples: Sequence[Example]) -> Iterator[np.ndarray]:
            """Make all blocks unless that is done, and yield the rows of some examples."""
            # Another process may have filled the cache since, and then nobody asks.
            if not rows:
                rows.update(self._made(asked, missing, progress))
            for key in example_keys(examples):
                yield rows[key.tobytes()]

        return answer

    def forget(self, folder: Path) -> None:
        """Remove the blocks of a cache that is filled."""
        shutil.rmtree(folder / "blocks", ignore_errors=True)

    def _made(
        self, asked: _Asked, missing: Sequence[Example], progress: Progress
    ) -> dict[bytes, np.ndarray]:
        """Return the rows of all texts by their fingerprints, made where no block has them."""
        sizes = _plan_blocks(asked.folder, missing)
        todo = [number for number in sizes if not _answers(asked.folder, number).is_file()]
        made = make_blocks(
            todo,
            partial(_open_teacher, asked),
            address=self.address,
            workers=self.workers,
            threads=asked.threads,
        )
        count = sum(sizes.values()) - sum(sizes[number] for number in todo)
        for number in made if todo else ():
            count += sizes[number]
            progress("teacher outputs", count, len(missing))

        # A worker that writes elsewhere has made nothing that can be seen here.
        rows = _read_answers(asked.folder, sizes)
        keys = (key.tobytes() for key in example_keys(missing))
        if unseen := [key for key in keys if key not in rows]:
            raise DataError(
                f"answers to {len(unseen):,} texts were made but are not in {asked.folder}: is "
                "DESTILA_CACHE a folder that all machines share, under the same path?"
            )
        return rows


def _plan_blocks(folder: Path, examples: Sequence[Example]) -> dict[int, int]:
    """Return the size of each block of texts, written where no earlier run has done so.

    They are the chunks in which a cache asks a teacher: some few first, then so many at once.
    """
    sizes: dict[int, int] = {}
    known: set[bytes] = set()
    for path in sorted(folder.glob("*.jsonl")):
        planned = _read_texts(path)
        sizes[int(path.stem)] = len(planned)
        known.update(key.tobytes() for key in example_keys(planned))
    keys = [key.tobytes() for key in example_keys(examples)]
    new = [example for example, key in zip(examples, keys, strict=True) if key not in known]

    first = max(sizes, default=-1) + 1
    starts = [0, *range(TIMED_TEXTS, len(new), CACHE_CHUNK)] if new else []
    for number, (start, end) in enumerate(pairwise([*starts, len(new)]), first):
        rows = [[e.id, e.meta.get(WRITTEN, e.text), e.pair, e.words] for e in new[start:end]]
        write_text(_texts(folder, number), "".join(json.dumps(row) + "\n" for row in rows))
        sizes[number] = end - start
    return sizes


def _read_texts(path: Path) -> list[Example]:
    """Return the texts of a block."""
    return [_example(*parse_json(line)) for line in path.read_text("utf-8").splitlines()]


def _read_answers(folder: Path, blocks: Iterable[int]) -> dict[bytes, np.ndarray]:
    """Return the rows of all blocks by the fingerprints of their texts."""
    rows: dict[bytes, np.ndarray] = {}
    for number in blocks:
        path = _answers(folder, number)
        with Blaming(CacheError, f"{path} is damaged", remedy="delete it, and start again"):
            tensors = load_file(path) if path.is_file() else {}
        if tensors:
            parts = np.split(tensors["logits"], np.cumsum(tensors["units"])[:-1])
            rows |= dict(zip((key.tobytes() for key in tensors["keys"]), parts, strict=True))
    return rows


def _open_teacher(asked: _Asked) -> Callable[[int], None]:
    """Open the teacher in a worker, and return what makes a block.

    Raises:
        ConfigError: it would answer otherwise than on the machine of the command.
    """
    torch.set_num_threads(asked.threads)
    name, task, labels = asked.data
    dataset = Dataset(name, task, labels, splits={"train": ()})
    recipe, asked_task = asked.recipe, scored_task(asked.recipe, dataset)
    study = Study(
        recipe=recipe,
        dataset=dataset,
        task=asked_task,
        encodings=Encodings(dataset, asked_task, max_length=recipe.max_length, folder=asked.folder),
        unlabelled=UnlabelledTexts(dataset),
    )
    teachers = Teachers(study, {asked.teacher.spec.label: asked.teacher.key})
    spec, predict = teachers.asked(asked.teacher, asked.options)
    for key, value in asked.spec.items():
        if key != "source" and spec.get(key) != value:
            raise ConfigError(
                f"a worker's teacher differs in {key}: {spec.get(key)} there, {value} here: give "
                "all machines the same model, versions and devices"
            )

    def make(number: int) -> None:
        """Write the answers to a block of texts, unless they are there."""
        out = _answers(asked.folder, number)
        if out.is_file():
            return
        examples = _read_texts(_texts(asked.folder, number))
        rows = [np.asarray(row) for row in predict(examples)]
        tensors = {
            "keys": example_keys(examples),
            "units": np.array([len(row) for row in rows], np.int64),
            "logits": np.concatenate(rows),
        }
        with replacing(out) as temporary:
            save_file(tensors, temporary)

    return make


def _texts(folder: Path, number: int) -> Path:
    """Return the file of the texts of a block."""
    return folder / f"{number:06d}.jsonl"


def _answers(folder: Path, number: int) -> Path:
    """Return the file of the answers to a block."""
    return folder / f"{number:06d}.safetensors"


def _example(id: str, text: str, pair: str | None, words: list[list[int]]) -> Example:
    """Return the example of a line."""
    return Example(id, text, pair, tuple((start, end) for start, end in words))
