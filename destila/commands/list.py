"""List models, recipes, datasets, losses, tasks or the cache.

Nothing is built, and torch is not imported.

models     {"models": [{"name", "layers", "hidden", "parameters", "gmacs_linear_512",
           "gmacs_total_512"}]}: parameters with a 3-label classifier; billions of multiply-
           accumulates for one input of 512 tokens, without and with those inside attention
cache      {"root", "megabytes", "cache": [{"folder", "megabytes", ...}]}: teacher caches with their
           source, task, rows, dtype and problem; other folders of the cache by size alone
recipes, datasets, losses, tasks    {WHAT: [{"name", "about"}]}, recipes with their "path", data
           sets with "files": "here", "not here: FOLDER", "your file" or "built in"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from destila import plugins
from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.datasets._files import where_from
from destila.fetching.places import how_to_get
from destila.hub import cache_root
from destila.models.macs import count_macs
from destila.models.presets import PRESETS, count_parameters
from destila.study.intake.recipe_list import list_recipes
from destila.terminal import in_units_of_bytes

_NEEDS = {"datasets": "load", "losses": "build", "tasks": "TASK"}

PANEL = "Around it"


class Config(Options):
    """What to list."""

    what: Literal["models", "recipes", "datasets", "cache", "losses", "tasks"] = opt(
        "models", "what to list", argument=True
    )


def run(config: Config) -> dict[str, Any]:
    """Return a JSON-able dict; the module's docstring names its keys."""
    if config.what == "models":
        return {"models": [_model(name) for name in PRESETS]}
    if config.what == "recipes":
        return {"recipes": list_recipes()}
    if config.what == "cache":
        return _cache()
    every = _plugins(config.what)
    for each in every if config.what == "datasets" else ():
        source = plugins.find("datasets", each["name"], "Options")
        each["files"] = how_to_get(each["name"], where_from(source.Options))
    return {config.what: every}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return what is listed as rows."""
    what = next(key for key, value in result.items() if isinstance(value, list))
    lines = [] if result[what] else [f"no {what}"]
    if what == "cache":
        lines.append(f"{in_units_of_bytes(1e6 * result['megabytes'])} in {result['root']}")
    return {"title": what, "rows": result[what], "lines": lines, "next": _following(result, what)}


def _following(result: dict[str, Any], what: str) -> str:
    """Return what to type next with the first of what is listed; "" where nothing is natural."""
    items = result[what]
    if what == "recipes" and items:
        studies = [item for item in items if item["command"] == "run"]
        demos = [item for item in studies if item["name"].startswith("demo")]
        first = (demos or studies or items)[0]
        return command_line(first["command"], first["path"])
    if what == "models" and items:
        return command_line("measure", items[0]["name"])
    return ""


def _model(name: str) -> dict[str, Any]:
    """Return what the formulas say of a preset."""
    config = PRESETS[name]
    return {
        "name": name,
        "layers": config.layers,
        "hidden": config.hidden,
        "parameters": count_parameters(config),
        "gmacs_linear_512": count_macs(config, 512) / 1e9,
        "gmacs_total_512": count_macs(config, 512, attention=True) / 1e9,
    }


def _plugins(room: str) -> list[dict[str, str]]:
    """Return the modules of a room that define what makes a plug-in, each with what it is."""
    # Their sources are parsed, not imported.
    sources = {name: plugins.describe(room, name) for name in plugins.names(room)}
    return [
        {"name": name, "about": source.about}
        for name, source in sources.items()
        if _NEEDS[room] in source.names
    ]


def _cache() -> dict[str, Any]:
    """Return teacher caches, one by one, and every other folder of the cache by its size."""
    from destila.teachers.cache_list import list_caches  # only this list needs it

    root = cache_root()
    entries: list[dict[str, Any]] = [dict(entry) for entry in list_caches()]
    for folder in sorted(root.glob("*")):
        if folder.is_dir() and folder.name != "teacher":
            entries.append({"folder": str(folder), "megabytes": _size(folder) / 1e6})
    return {"root": str(root), "megabytes": _size(root) / 1e6, "cache": entries}


def _size(folder: Path) -> int:
    """Return the bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
