"""What a training process keeps of the memory that its steps free.

Heap. By default glibc hands every large tensor back to the system and asks for it anew in the next
step, page by page: a sixth of the processor's time where steps are short (`benchmarks/pretrain.py
--heap returned` against `kept`).

Kernels. A bf16 product on the CPU is computed by a kernel that oneDNN makes for its very shape, and
a step of an encoder makes about twenty of them for every length of batch. oneDNN keeps the last
1,024 and torch's wrapper around it as many more, together some 500 MB after 60 steps of a tagger,
scattered over the heap, which cannot use the holes between for activations of other lengths. The
layers of one step share kernels, which few are enough for; making those of a length that comes back
is a small part of a step. Results are the same bits with any number (`benchmarks/train_memory.py`).
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1

KERNELS_KEPT = 64
"""More than the kernels of one step, so that its layers share them."""

KERNEL_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""Environment variables of oneDNN's own store, and of torch's."""


def keep_heap() -> None:
    """Keep this process's heap from now on, large blocks too; for steps of few shapes.

    Pre-training has few shapes. Steps of many leave holes that nothing fills, so their memory would
    grow. Another C library than glibc is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)


def keep_few_kernels() -> None:
    """Keep `KERNELS_KEPT` kernels in this process and its children, unless its environment differs.

    Both stores read their variables at the first bf16 product of a process and never again.
    """
    for name in KERNEL_VARIABLES:
        os.environ.setdefault(name, str(KERNELS_KEPT))
