"""What else a machine did while something was timed on it, and whether a time can be believed.

A time taken while other programs want the same processors says little about the model. So the load
is kept with the time, and a time that does not hold is marked wherever it is shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from destila.measuring.latency import REAL
from destila.records import Record

_SPARE = 0.25
"""Processors that others may keep busy beyond those left to them: a desktop never sleeps quite."""

_FAR = 5.0
"""A 95th percentile that is so many times the median is not the length of the texts alone."""


@contextmanager
def watched_load(root: Path = Path("/")) -> Iterator[dict[str, Any]]:
    """Yield a dict that says, when the block ends, what other programs did meanwhile.

    It holds `processors` (of the machine), `others` (how many of them other programs kept busy;
    None where the system does not tell) and `load_average` (of the last minute; None likewise).

    Args:
        root: where `/proc` is.
    """
    facts: dict[str, Any] = {"processors": os.cpu_count() or 1}
    busy, own, started = _busy_seconds(root), time.process_time(), time.monotonic()
    yield facts

    # What all processors worked, without what this process did of it.
    seconds = max(1e-9, time.monotonic() - started)
    own = time.process_time() - own
    now = _busy_seconds(root)
    known = busy is not None and now is not None
    facts["others"] = round(max(0.0, (now - busy - own) / seconds), 2) if known else None  # type: ignore[operator]
    facts["load_average"] = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def timing_doubt(record: Record) -> str:
    """Say why the times of a record cannot be believed; "" where nothing speaks against them."""
    if not record.latency:
        return ""

    # Others wanted the processors that the model needed.
    load: Mapping[str, Any] = record.details.get("timing", {})
    others, processors = load.get("others"), load.get("processors")
    threads = record.latency[0].conditions.threads
    if others is not None and processors and others + threads > processors + _SPARE:
        return (
            f"timed while other programs kept {others:.1f} of {processors} processors busy, "
            f"beside its own {threads}"
        )

    # Where the load is not known, single calls tell.
    for latency in record.latency:
        if latency.protocol == REAL and latency.p95_ms > _FAR * latency.median_ms:
            return (
                f"its 95th percentile is {latency.p95_ms:.3g} ms beside a median of "
                f"{latency.median_ms:.3g} ms"
            )
    return ""


def _busy_seconds(root: Path) -> float | None:
    """Return the seconds that all processors have worked since the start; None off Linux."""
    stat = root / "proc/stat"
    if not stat.is_file():
        return None

    # user nice system idle iowait irq softirq steal, in ticks
    line = stat.read_text(encoding="utf-8").splitlines()[0]
    ticks = [int(word) for word in line.split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
