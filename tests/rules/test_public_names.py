"""The public names: one sorted list in `destila/__init__.py`, all there, nothing else, and light to import."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from types import ModuleType

import pytest

import destila

HEAVY = {"torch", "onnxruntime", "transformers", "accelerate", "sklearn", "scipy"}
REPORT = (
    "import json, sys; sys.stderr.write(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
)
STARTS = {
    "import": f"import destila\n{REPORT}",
    "help": f"""
import sys
sys.argv = ["destila", "--help"]
from destila.cli import main
try:
    main()
except SystemExit as stop:
    assert stop.code in (0, None), stop.code
{REPORT}""",
}


def start(kind: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-c", STARTS[kind]],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )


def test_the_list_is_sorted_and_without_repeats() -> None:
    assert list(destila.__all__) == sorted(set(destila.__all__))
    assert len(destila.__all__) > 2


def test_every_public_name_is_there_and_documented() -> None:
    for name in destila.__all__:
        thing = getattr(destila, name)
        assert name == "__version__" or thing.__doc__, name


def test_nothing_public_is_missing_from_the_list() -> None:
    there = {
        n
        for n, v in vars(destila).items()
        if not n.startswith("_") and not isinstance(v, ModuleType)
    }
    assert there - {"annotations", "TYPE_CHECKING"} <= set(destila.__all__)


@pytest.mark.parametrize("kind", sorted(STARTS))
def test_starting_loads_nothing_heavy(kind: str) -> None:
    loaded = set(json.loads(start(kind).stderr.splitlines()[-1]))
    assert "destila" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("kind", sorted(STARTS))
def test_starting_costs_under_half_a_second_of_processor_time(kind: str) -> None:
    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start(kind)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(3)) < 0.5


def test_public_functions_are_no_rooms() -> None:
    """Importing every module of the package leaves each public name what it was."""
    code = """
import importlib, pkgutil, types, destila
for module in pkgutil.walk_packages(destila.__path__, "destila."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
wrong = [n for n in destila.__all__ if isinstance(getattr(destila, n), types.ModuleType)]
assert not wrong, wrong
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
