"""What an exported folder says about itself: which of its graphs to run, with how many threads.

`export.json` names the candidates, the default, and the winner that `destila export --runtime auto` measured on a
machine; a folder that holds a `model.onnx` and no export.json is read too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.errors import ModelError
from destila.model_folder import read_object
from destila.plugins import nearest

GRAPH = "model.onnx"
FACTS = "export.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """A graph of an exported folder. kind: "fp32", "int8-dynamic"...; threads: that it was fastest with, None: all."""

    name: str
    file: Path
    kind: str = ""
    threads: int | None = None


def is_exported(folder: Path) -> bool:
    """Whether a folder was written by `destila export`, so that it is run without torch."""
    return (folder / FACTS).is_file() or (folder / GRAPH).is_file()


def choose_graph(folder: Path, candidate: str | None = None) -> Choice:
    """The graph to run: the one asked for, else the winner measured, else the default.

    A winner whose library is not installed here gives way to the default. Raises ModelError for a damaged
    export.json and for a name that it does not list.
    """
    if not (folder / FACTS).is_file():
        if candidate is not None:
            raise ModelError(
                f"{folder} has no {FACTS} that lists '{candidate}': it has {GRAPH} alone"
            )
        return Choice("model", folder / GRAPH)
    facts = read_object(folder / FACTS)
    try:
        known = {
            c["name"]: Choice(c["name"], folder / c["file"], c["kind"]) for c in facts["candidates"]
        }
        default = known[facts["default"]]
        winner: dict[str, Any] = facts.get("runtime") or {}
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / FACTS} is no description of an export ({error!r}): export again"
        ) from error
    if candidate is not None:
        if candidate not in known:
            raise ModelError(
                f"{folder} has no graph called '{candidate}'.{nearest(candidate, sorted(known))}"
            )
        return known[candidate]
    best = known.get(winner.get("name", ""))
    if best is None or (
        best.file.suffix == ".xml" and importlib.util.find_spec("openvino") is None
    ):
        return default
    return Choice(best.name, best.file, best.kind, winner.get("threads"))
