"""The recipes that are here: of the working folder, the source tree and the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from destila import config, plugins
from destila.errors import ConfigError
from destila.reading.values import MalformedError, parse_toml, read_utf8

_FIRST_SENTENCE = re.compile(r".*?(?<! al)[.?!:](?=\s|$)")

_MOST_PARENTS = 16
"""Recipes that extend one another are followed so far; a circle ends there."""


def list_recipes() -> list[dict[str, str]]:
    """Return name, command, path and first sentence of every recipe, by name.

    A name is listed once, where it is met first.

    Raises:
        ConfigError: a recipe is not TOML.
    """
    package = Path(plugins.__file__).parent
    recipes: dict[str, dict[str, str]] = {}
    for folder in (Path("recipes"), package.parent / "recipes", package / "recipes"):
        for path in sorted(folder.rglob("*.toml")):
            recipes.setdefault(path.stem, _describe(path))
    return [recipes[name] for name in sorted(recipes)]


def is_matrix(path: str) -> bool:
    """Tell whether a file is a matrix of recipes."""
    file = Path(path)
    return file.suffix == ".toml" and file.is_file() and "matrix" in config.read_toml(file)


def _describe(path: Path) -> dict[str, str]:
    """Return name, command, path and first sentence of a recipe."""
    text, tables = _read(path)
    comment = takewhile(lambda line: line.startswith("#"), text.lstrip().splitlines())
    words = " ".join(line.lstrip("# ").rstrip() for line in comment)
    sentence = _FIRST_SENTENCE.match(words)
    return {
        "name": path.stem,
        "command": _command(path, tables),
        "path": str(path),
        "about": sentence[0] if sentence else words,
    }


def _command(path: Path, tables: Mapping[str, Any]) -> str:
    """Return the command that a recipe is for: run, corpus or pretrain."""
    for _ in range(_MOST_PARENTS):
        for key, command in config.COMMANDS_BY_KEY.items():
            if key in tables:
                return command

        # What a recipe does not say itself stands in the one that it extends.
        path = path.parent / str(tables.get("extends", ""))
        if not path.is_file():
            break
        _, tables = _read(path)
    return "run"


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the tables of a recipe."""
    text = read_utf8(path, ConfigError, remedy="take it out of the folder of recipes")
    try:
        return text, parse_toml(text)
    except MalformedError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
