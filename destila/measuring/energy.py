"""Energy of the processor package, read from Linux's powercap interface (RAPL); None where a machine hides it.

The counters are of the whole package, everything else that runs on it included, and wrap around at a published range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

_PACKAGE = re.compile(r"intel-rapl:\d+")
"""Zones of whole packages; `intel-rapl:0:1` is a part of one and would count twice."""


class Meter:
    """The energy counters of a machine's packages. Made by `meter`."""

    def __init__(self, zones: Mapping[Path, int]) -> None:
        self._zones = dict(zones)  # counter file -> microjoules at which it starts again from 0

    def joules(self, work: Callable[[], object]) -> float:
        """Joules that the packages used while `work` ran."""
        before = {counter: _number(counter) for counter in self._zones}
        work()
        used = 0
        for counter, limit in self._zones.items():
            difference = _number(counter) - before[counter]
            used += difference + limit if difference < 0 else difference
        return used / 1e6


def meter(root: Path = Path("/sys/class/powercap")) -> Meter | None:
    """The machine's meter; None when it exposes no counter or this user may not read one.

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


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
