"""List models, recipes, datasets, losses, tasks or the cache.

Nothing is built, and torch is not imported.

models     {"models": [{"name", "layers", "hidden", "parameters", "gmacs_linear_512",
           "gmacs_total_512"}]}: parameters with a 3-label classifier; billions of multiply-
           accumulates for one input of 512 tokens, without and with those inside attention
cache      {"root", "megabytes", "cache": [{"folder", "megabytes", ...}]}: teacher caches with their
           source, task, rows, dtype and problem; other folders of the cache by size alone
recipes, datasets, losses, tasks    {WHAT: [{"name", "about"}]}, recipes with their "path"
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from destila import plugins
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.hub import cache_root
from destila.models.macs import count_macs
from destila.models.presets import PRESETS, count_parameters

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
        return {"recipes": _recipes()}
    if config.what == "cache":
        return _cache()
    return {config.what: _plugins(config.what)}


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return what is listed as rows."""
    what = next(key for key, value in result.items() if isinstance(value, list))
    return {"title": what, "rows": result[what]}


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


def _recipes() -> list[dict[str, str]]:
    """Return the recipes of the working folder, the source tree and the package.

    A name is listed once, where it is met first.
    """
    package = Path(plugins.__file__).parent
    recipes: dict[str, dict[str, str]] = {}
    for folder in (Path("recipes"), package.parent / "recipes", package / "recipes"):
        for path in sorted(folder.rglob("*.toml")):
            recipe = {"name": path.stem, "path": str(path), "about": _about(path)}
            recipes.setdefault(path.stem, recipe)
    return [recipes[name] for name in sorted(recipes)]


def _about(path: Path) -> str:
    """Return the comment a recipe starts with; raise ConfigError when it is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error

    first = text.lstrip().split("\n", 1)[0]
    return first.lstrip("# ").rstrip() if first.startswith("#") else ""


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
