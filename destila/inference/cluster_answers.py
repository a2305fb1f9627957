"""Answers made by the machines of a Ray cluster, in blocks of texts.

Ray Data keeps a pool of actors, each with the model open. What passes through Ray is the number of
a block; its texts are read from the file, and its rows go into a file beside the answers,
`.NAME.KEY.blocks/`, under a path that all machines see. A file is made only once, so a worker that
dies costs the block it was at, and a run that was killed goes on with the blocks that are missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from destila.cluster import make_blocks
from destila.errors import DataError
from destila.files import replacing, write_text
from destila.inference.labeller import TEXTS_AT_ONCE
from destila.progress import Progress, silent
from destila.reading.values import parse_json

_BLOCKS_PER_WORKER = 8
"""Blocks are read from the start of the file: many small ones would be read over and over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBlock:
    """The rows of a block, and how many of its texts were not read as they stand."""

    rows: Iterator[str]
    tally: Callable[[], dict[str, int]]


MakeBlock = Callable[[int, int], AnswerBlock]
"""Makes the rows of so many texts from one on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """How texts are cut into blocks: `size` each, `texts` in all; their files are in `folder`."""

    folder: Path
    texts: int
    size: int

    @property
    def count(self) -> int:
        """How many blocks there are; of no text one, which may hold a header."""
        return max(1, -(-self.texts // self.size))

    def path(self, block: int) -> Path:
        """Return the file of a block."""
        return self.folder / f"{block:06d}.rows"

    def tally_path(self, block: int) -> Path:
        """Return the file that says how many texts of a block were not read as they stand."""
        return self.folder / f"{block:06d}.json"


def plan_blocks(folder: Path, texts: int, workers: int) -> BlockPlan:
    """Return the blocks of a file; those of an earlier run keep their size.

    Args:
        folder: of the blocks.
        texts: of the file.
        workers: that share them.
    """
    size = -(-texts // (_BLOCKS_PER_WORKER * workers))
    size = max(1, -(-size // TEXTS_AT_ONCE)) * TEXTS_AT_ONCE
    marker = folder / "size"
    if marker.is_file():
        size = int(marker.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(marker, str(size))
    return BlockPlan(folder=folder, texts=texts, size=size)


def make_block(plan: BlockPlan, block: int, make: MakeBlock) -> None:
    """Write the rows of a block and then its tally, unless both are there."""
    if plan.tally_path(block).is_file() and plan.path(block).is_file():
        return
    made = make(block * plan.size, plan.size)
    with (
        replacing(plan.path(block)) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(row + "\n" for row in made.rows)
    write_text(plan.tally_path(block), json.dumps(made.tally()))


def make_blocks_with_ray(
    plan: BlockPlan,
    opened: Callable[[], MakeBlock],
    *,
    address: str,
    workers: int,
    threads: int,
    progress: Progress = silent,
) -> None:
    """Make all blocks on a cluster.

    Args:
        plan: of the blocks.
        opened: opens the model in a worker; it travels to it, so it holds paths alone.
        address: as `connected` takes it.
        workers: actors; 0 = as many as the cluster has processors for.
        threads: of each.
        progress: told the number of texts after every block.

    Raises:
        ConfigError: the cluster cannot be reached, or a machine has another version.
        DataError: the file cannot be read, or a block is not where it should be.
    """
    blocks = [number for number in range(plan.count) if not plan.tally_path(number).is_file()]
    if not blocks:
        return
    made = make_blocks(
        blocks,
        partial(_open_maker, opened, plan),
        address=address,
        workers=workers,
        threads=threads,
    )
    for count, _ in enumerate(made, plan.count - len(blocks) + 1):
        progress("texts", min(count * plan.size, plan.texts), plan.texts)

    # A worker that writes elsewhere has made nothing that can be seen here.
    unseen = [number for number in range(plan.count) if not plan.path(number).is_file()]
    if unseen:
        raise DataError(
            f"{plan.path(unseen[0])} was made but is not there: is the folder of --out one that "
            "all machines share, under the same path?"
        )


def _open_maker(opened: Callable[[], MakeBlock], plan: BlockPlan) -> Callable[[int], None]:
    """Open the model in a worker, and return what makes a block."""
    make = opened()
    return lambda block: make_block(plan, block, make)


def join_blocks(plan: BlockPlan, out: Path) -> dict[str, int]:
    """Write all blocks as one file, remove them, and return the sums of their tallies."""
    sums = {"texts": 0, "warnings": 0, "errors": 0}
    with replacing(out) as temporary, temporary.open("wb") as file:
        for block in range(plan.count):
            with plan.path(block).open("rb") as rows:
                shutil.copyfileobj(rows, file)
            tally = parse_json(plan.tally_path(block).read_text(encoding="utf-8"))
            sums = {name: count + int(tally[name]) for name, count in sums.items()}
    shutil.rmtree(plan.folder)
    return sums
