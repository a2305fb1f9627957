"""Who may import whom: a module imports from rows above its own, and no room from a sibling in its row."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from destila.errors import EXTRAS
from tests.rules.conftest import room_of

ROWS = (
    (
        "types",
        "records",
        "errors",
        "config",
        "toml_text",
        "plugins",
        "hub",
        "files",
        "model_folder",
        "cpu",
        "cluster",
        "progress",
        "results",
        "stopping",
        "terminal",
        "version",
        "children",
        "reading",
    ),
    ("tokenizer", "losses", "baselines", "formats"),
    ("tasks", "datasets", "corpus", "models", "fetching"),
    ("training",),
    ("inference", "teachers", "pretraining.data"),
    ("measuring",),
    ("exporting",),
    ("study.planning",),
    ("report", "serve", "study.runs"),
    ("study", "pretraining"),
    ("study.intake", "search", "pretraining.planning"),
    ("matrix",),
    ("commands",),
    ("cli", "objects"),
    ("adapters",),
    ("__main__", "destila"),
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
WITHOUT_TORCH = {
    *ROWS[0],
    *(
        "tokenizer",
        "tasks",
        "datasets",
        "fetching",
        "formats",
        "corpus",
        "pretraining.data",
        "baselines",
        "inference",
        "report",
        "serve",
    ),
}
TORCH_WHEN_CALLED = {"tasks", "inference"}
"""Light rooms whose functions may import torch: a loss needs it, a prediction does not."""
DISTRIBUTION = {
    "sklearn": "scikit-learn",
    "sklearn_crfsuite": "sklearn-crfsuite",
    "prometheus_client": "prometheus-client",
    "presidio_analyzer": "presidio-analyzer",
}


def test_every_room_has_a_row(modules: list[Any]) -> None:
    assert not {m.room for m in modules} - set(ROW)


def test_imports_point_upwards_and_siblings_stay_apart(modules: list[Any]) -> None:
    checked, wrong = 0, []
    for module in modules:
        for line, name in module.imports():
            parts = name.split(".")
            if parts[0] != "destila" or parts[1:] in ([], ["__version__"]):
                continue
            target = room_of(name)
            checked += 1
            same_room = target == module.room or (ROW[target] == ROW[module.room] == 0)
            if not same_room and ROW[target] >= ROW[module.room]:
                wrong.append(f"{module.path}:{line} imports {name}")
    assert checked > 50
    assert not wrong


def test_torch_stays_out_of_light_rooms(modules: list[Any]) -> None:
    """Light rooms never import torch when they are imported; some do inside a function."""
    light = [m for m in modules if m.room in WITHOUT_TORCH]
    assert {"tokenizer", "datasets"} <= {m.room for m in light}
    heavy = [
        f"{m.path}:{line} imports {name}"
        for m in light
        for line, name in m.imports(typing_only=False, inside=m.room not in TORCH_WHEN_CALLED)
        if name.split(".")[0] in {"torch", "transformers", "accelerate"}
    ]
    assert not heavy


def test_every_package_imported_is_declared(modules: list[Any], root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [
        r for extra in project["optional-dependencies"].values() for r in extra
    ]
    declared = {line.split(">")[0].split("=")[0].strip() for line in lines}
    used = {name.split(".")[0]: f"{m.path}:{line}" for m in modules for line, name in m.imports()}
    others = {
        n: at for n, at in used.items() if n not in sys.stdlib_module_names and n != "destila"
    }
    assert "numpy" in others
    assert not {
        name: at for name, at in others.items() if DISTRIBUTION.get(name, name) not in declared
    }


def test_every_optional_package_has_its_extra_in_the_errors(root: Path) -> None:
    """A missing package is one line that names its extra; here both tables are the same."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    imported = {name: module for module, name in DISTRIBUTION.items()}
    declared = {
        (imported.get(name, name.replace("-", "_")), extra)
        for extra, lines in project["optional-dependencies"].items()
        if extra != "dev"
        for name in (re.split(r"[^\w-]", line)[0] for line in lines)
        if name not in core
    }
    assert len(declared) > 15
    # A package of two extras is named by one of them; some come with another.
    assert {package for package, _ in declared} <= set(EXTRAS)
    brought = {"pycrfsuite": "sklearn_crfsuite", "scipy": "sklearn"}
    assert {(brought.get(package, package), extra) for package, extra in EXTRAS.items()} <= declared
