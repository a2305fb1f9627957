"""How many threads this process may keep busy: its container's share of the processors, not the host's number.

Half a container's threads waiting for a quota that the other half used up makes everything slower than one thread.
"""

from __future__ import annotations

import math
import os
from pathlib import Path


def available(root: Path = Path("/")) -> int:
    """Threads this process may keep busy: the smaller of its processor affinity and its container's quota.

    root: where `/proc` and `/sys` are.
    """
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min([affinity, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> list[float]:
    """Processor quotas, in processors, of every control group above this process."""
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = base / path.lstrip("/")
        for folder in [group, *group.parents]:
            quotas += _quota(folder)
            if folder == base:
                break
    return quotas


def _quota(folder: Path) -> list[float]:
    """The quota of one control group, version 2 or 1; empty without a limit."""
    limit, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not period:
        limit, period = (
            _read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        )
    return (
        [int(limit) / int(period)] if limit.isdigit() and period.isdigit() and int(period) else []
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
