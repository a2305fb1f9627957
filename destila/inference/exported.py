"""What an exported folder says about itself: which of its graphs to run, with how many threads.

`export.json` names the candidates, the default, and the winner that `destila export --runtime auto`
measured on a machine; a folder that holds a `model.onnx` and no export.json is read too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.errors import ModelError
from destila.plugins import nearest
from destila.reading.escaping import short_value
from destila.reading.shapes import EXPORT_FILE, read_shape

GRAPH = "model.onnx"
FACTS = "export.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """A graph of an exported folder.

    Args:
        name: "int8-dynamic".
        file: its path.
        kind: "fp32", "int8-dynamic", ...; "" where nothing says it.
        threads: that it was fastest with; None: all.
    """

    name: str
    file: Path
    kind: str = ""
    threads: int | None = None


def is_exported(folder: Path) -> bool:
    """Return whether `destila export` wrote a folder, so that it is run without torch."""
    return (folder / FACTS).is_file() or (folder / GRAPH).is_file()


def choose_graph(folder: Path, candidate: str | None = None) -> Choice:
    """Return the graph to run: the one asked for, else the winner measured, else the default.

    A winner whose library is not installed here gives way to the default.

    Args:
        folder: of the export.
        candidate: name of a graph; None: the folder decides.

    Raises:
        ModelError: export.json is damaged, or does not list the candidate.
    """
    if not (folder / FACTS).is_file():
        if candidate is not None:
            raise ModelError(
                f"{folder} has no {FACTS} that lists '{candidate}': it has {GRAPH} alone"
            )
        return Choice("model", folder / GRAPH)

    # What the export wrote.
    facts = read_shape(folder / FACTS, EXPORT_FILE, ModelError, remedy="export again")
    graphs = {
        c["name"]: Choice(c["name"], folder / c["file"], c["kind"]) for c in facts["candidates"]
    }
    default = graphs.get(facts["default"])
    winner: dict[str, Any] = facts.get("runtime") or {}
    if default is None:
        raise ModelError(
            f"{folder / FACTS}: default = {short_value(facts['default'])} is none of its "
            f"candidates ({', '.join(graphs)}): export again"
        )

    # The one asked for, whatever was measured.
    if candidate is not None:
        if candidate not in graphs:
            hint = nearest(candidate, sorted(graphs))
            raise ModelError(f"{folder} has no graph called '{candidate}'.{hint}")
        return graphs[candidate]

    # The winner, where its library is here.
    best = graphs.get(winner.get("name", ""))
    if best is None:
        return default
    if best.file.suffix == ".xml" and importlib.util.find_spec("openvino") is None:
        return default
    return Choice(best.name, best.file, best.kind, winner.get("threads"))
