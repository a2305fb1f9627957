"""How many of oneDNN's kernels a training process keeps.

A bf16 product on the CPU is computed by a kernel that oneDNN makes for its very shape, and a step of an encoder makes
about twenty of them for every length of batch. oneDNN keeps the last 1,024 and torch's wrapper around it as many more,
together some 500 MB after 60 steps of a tagger, scattered over the heap, which cannot use the holes between for
activations of other lengths. The layers of one step share kernels, which few are enough for; making those
of a length that comes back is a small part of a step. Results are the same bits with any number
(`benchmarks/train_memory.py`).
"""

from __future__ import annotations

import os

KEPT = 64
"""More than the kernels of one step, so that its layers share them."""

VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""oneDNN's own store, and torch's."""


def keep_few() -> None:
    """Nothing; from now on this process and its children keep `KEPT` kernels, or what its environment says already.

    Both stores read their variables at the first bf16 product of a process and never again.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, str(KEPT))
