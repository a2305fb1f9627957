"""What glibc does with the memory that a training step frees.

By default it hands every large tensor back to the system and asks for it anew in the next step, page by page: a sixth
of the processor's time where steps are short (`benchmarks/pretrain.py --heap returned` against `kept`).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1


def keep() -> None:
    """Nothing; from now on this process keeps its heap, large blocks too. For steps of few shapes, as pre-training has.

    Steps of many shapes leave holes that nothing fills, so their memory would grow. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
