"""The recipes that are here: of the working folder, the source tree and the package."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

from destila import plugins
from destila.errors import ConfigError
from destila.reading.values import MalformedError, parse_toml, read_utf8

_FIRST_SENTENCE = re.compile(r".*?[.?!:](?=\s|$)")


def list_recipes() -> list[dict[str, str]]:
    """Return name, path and first sentence of every recipe, by name.

    A name is listed once, where it is met first.

    Raises:
        ConfigError: a recipe is not TOML.
    """
    package = Path(plugins.__file__).parent
    recipes: dict[str, dict[str, str]] = {}
    for folder in (Path("recipes"), package.parent / "recipes", package / "recipes"):
        for path in sorted(folder.rglob("*.toml")):
            recipe = {"name": path.stem, "path": str(path), "about": _about(path)}
            recipes.setdefault(path.stem, recipe)
    return [recipes[name] for name in sorted(recipes)]


def _about(path: Path) -> str:
    """Return the first sentence of the comment that a recipe starts with."""
    text = read_utf8(path, ConfigError, remedy="take it out of the folder of recipes")
    try:
        parse_toml(text)
    except MalformedError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error

    comment = takewhile(lambda line: line.startswith("#"), text.lstrip().splitlines())
    words = " ".join(line.lstrip("# ").rstrip() for line in comment)
    sentence = _FIRST_SENTENCE.match(words)
    return sentence[0] if sentence else words
