"""Energy of the processor package, read from Linux's powercap interface (RAPL).

The counters are of the whole package, everything else that runs on it included, and wrap around at
a published range. Many machines hide them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PACKAGE = re.compile(r"intel-rapl:\d+")
"""Zones of whole packages; `intel-rapl:0:1` is a part of one and would count twice."""


class Meter:
    """The energy counters of a machine's packages; `meter` makes one.

    Args:
        zones: counter file -> microjoules at which it starts again from 0.
    """

    def __init__(self, zones: Mapping[Path, int]) -> None:
        self._zones = dict(zones)

    def joules(self, work: Callable[[], object]) -> float:
        """Return the joules that the packages use while `work` runs."""
        before = {counter: _number(counter) for counter in self._zones}
        work()

        # A counter that is lower than before has wrapped around.
        microjoules = 0
        for counter, limit in self._zones.items():
            difference = _number(counter) - before[counter]
            microjoules += difference + limit if difference < 0 else difference
        return microjoules / 1e6


def meter(root: Path = Path("/sys/class/powercap")) -> Meter | None:
    """Return the machine's meter; None when it has no counter or this user may not read one.

    Args:
        root: where the zones are.
    """
    zones: dict[Path, int] = {}
    for zone in sorted(root.iterdir()) if root.is_dir() else []:
        if not _PACKAGE.fullmatch(zone.name):
            continue
        try:
            _number(zone / "energy_uj")
            zones[zone / "energy_uj"] = _number(zone / "max_energy_range_uj")
        except OSError:  # readable by root alone on most machines
            return None
    return Meter(zones) if zones else None


def energy_of(calls: Sequence[Callable[[], object]]) -> dict[str, Any]:
    """Return the millijoules per call of the whole package, as details of a record."""
    counters = meter()
    if counters is None:
        return {"energy": "not exposed by this machine"}

    # All calls in one go: the counters tick about a thousand times a second.
    joules = counters.joules(lambda: [call() for call in calls])
    return {
        "energy": "RAPL, whole processor packages",
        "energy_mj": joules * 1000 / len(calls),
    }


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
