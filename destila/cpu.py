"""What this process may use of its processor: how many threads, and whether it is one of AMD.

Threads are its container's share, not the host's processors.

Half a container's threads waiting for a quota that the other half used up makes everything slower
than one thread.
"""

from __future__ import annotations

import math
import os
from pathlib import Path


def available(root: Path = Path("/")) -> int:
    """Return how many threads this process may keep busy.

    It is the smaller of its processor affinity and its container's quota. `root` is where `/proc`
    and `/sys` are.
    """
    return max(1, min([_affinity(), *(math.ceil(quota) for quota in _quotas(root))]))


def keep_to_quota(root: Path = Path("/")) -> None:
    """Tell libraries that only count processors, as torch does, how many threads a quota allows.

    They read `OMP_NUM_THREADS` when they are imported; who has set it is left alone. `root` is
    where `/proc` and `/sys` are.
    """
    allowed = available(root)
    if allowed < _affinity():
        os.environ.setdefault("OMP_NUM_THREADS", str(allowed))


MOST_THREADS = 1024
"""That may be asked for; libraries die of a hundred thousand."""

THREADS_HELP = "threads; none = OMP_NUM_THREADS, else all there are"


def threads(asked: int | None = None) -> int:
    """Return how many threads to compute with: those asked for, else `OMP_NUM_THREADS`, else all.

    All are those of `available`. A value of the variable that is no whole number from 1 up says
    nothing.
    """
    if asked:
        return asked
    value = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(value) if value.isascii() and value.isdigit() and int(value) else available()


def memory() -> int:
    """Return the bytes of memory that this machine has; a thousand GB where it does not say."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= names.keys():
        return 10**12
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that are free now; all there are where nothing says so.

    `root` is where `/proc` is.
    """
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return memory()


def is_amd(root: Path = Path("/")) -> bool:
    """Say whether the processor is one of AMD; False where /proc/cpuinfo names none.

    `root` is where `/proc` is.
    """
    return "AuthenticAMD" in _read(root / "proc/cpuinfo")


def _affinity() -> int:
    """Return how many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> list[float]:
    """Return the quotas, in processors, of every control group above this process."""
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        # Version 2 is one line without controllers, "0::/a/b"; version 1 a line for each of them.
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue

        # A group may use no more than any group above it.
        base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = base / path.lstrip("/")
        for folder in [group, *group.parents]:
            quotas += _quota(folder)
            if folder == base:
                break
    return quotas


def _quota(folder: Path) -> list[float]:
    """Return the quota of one control group, version 2 or 1, in a list; [] without a limit."""
    limit, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not period:  # version 1 has a file for each
        limit = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()

    # No limit is "max" in version 2 and -1 in version 1.
    limited = limit.isdigit() and period.isdigit() and int(period) > 0
    return [int(limit) / int(period)] if limited else []


def _read(path: Path) -> str:
    """Return the text of a file, "" where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
