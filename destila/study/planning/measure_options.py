"""The `[measure]` table of a recipe: how its models are timed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from destila import cpu
from destila.config import Options, opt

Threads = Annotated[int, Field(ge=1, le=cpu.MOST_THREADS)]


class MeasureOptions(Options):
    """How models are timed."""

    texts: int = opt(100, "test texts timed one by one; 0 does not measure latency", ge=0)
    repeats: int = opt(3, "how often each is timed", ge=1)
    padded_512: bool = opt(True, "also the papers' protocol: 512 random ids, batch 1")
    threads: Threads | None = opt(None, "threads; none = OMP_NUM_THREADS, else all there are")
    device: Literal["cpu", "cuda"] = opt(
        "cpu", "where models of torch are timed: cpu, or cuda = a GPU", later=True
    )
