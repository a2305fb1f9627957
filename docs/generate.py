"""Write the pages of the documentation that are drawn from the code: `make map` runs it.

    docs/reference/map.md        every file of the package with the first line of its docstring
    docs/reference/options.md    every option of a recipe, with default and help
    docs/reference/datasets.md   every data set, from its header
    docs/reference/losses.md     every loss term, from its header and its options

`python docs/generate.py --check` writes nothing and fails when a page is not what it would write;
a test runs it, so that the pages cannot grow old.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from destila import plugins

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "destila"
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Drawn from the code by `make map`; change it there. -->"


def main() -> None:
    """Write every page, or check that it is up to date."""
    files = {PAGES / name: draw for name, draw in pages().items()}
    write_or_check(files, "Draw pages of the documentation from the code.", "make map")


def write_or_check(files: dict[Path, Callable[[], str]], what: str, remedy: str) -> None:
    """Write files as they are drawn now, or, with `--check`, fail where one is not.

    Args:
        files: every file and the function that draws it.
        what: the script does, for its help.
        remedy: the command that brings them up to date.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is old")
    check = parser.parse_args().check

    old = []
    for path, draw in files.items():
        text = draw()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            old.append(str(path.relative_to(ROOT)))
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    if old:
        sys.exit(f"not up to date: {', '.join(old)}; run `{remedy}`")


def pages() -> dict[str, Callable[[], str]]:
    """Name every page and the function that draws it."""
    return {
        "map.md": draw_map,
        "options.md": draw_options,
        "datasets.md": draw_datasets,
        "losses.md": draw_losses,
    }


# --- the map of files


def draw_map() -> str:
    """Draw the tree of the package, a line per file with what it does."""
    lines = [
        "# Map of the package",
        "",
        NOTE,
        "",
        "A room is a folder; the phrase is the file's own.",
    ]
    folders = sorted({path.parent for path in PACKAGE.rglob("*.py")})

    for folder in folders:
        room = folder.relative_to(ROOT).as_posix()
        lines += ["", f"## {room}/", ""]
        if folder != PACKAGE:
            lines += [first_line(folder / "__init__.py"), ""]
        lines += ["| file | what it does |", "| --- | --- |"]
        lines += [
            f"| [{path.name}](../../{room}/{path.name}) | {cell(first_line(path))} |"
            for path in sorted(folder.glob("*.py"))
            if path.name != "__init__.py" or folder == PACKAGE
        ]
    return "\n".join(lines) + "\n"


def first_line(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = docstring.split("\n\n")[0]
    return " ".join(paragraph.split())


def cell(text: str) -> str:
    """Escape what a cell of a Markdown table cannot hold."""
    return text.replace("|", "\\|").replace("<", "&lt;")


# --- the options


def draw_options() -> str:
    """Draw every table of a study's recipe and of a pre-training's."""
    lines = ["# Options of recipes", "", NOTE, ""]
    lines += ["`--set table.key=value` overrides one of them on the command line."]
    for title, module in (
        ("A study (`destila run`)", "destila.study.planning.recipe"),
        ("A pre-training (`destila pretrain`)", "destila.pretraining.pretrain_recipe"),
    ):
        recipe = importlib.import_module(module)
        lines += ["", f"## {title}"]
        for name, table in tables("", top_class(recipe)):
            lines += ["", f"### `{name or 'top level'}`", "", describe(table), ""]
            lines += ["| option | default | what it does |", "| --- | --- | --- |", *rows(table)]
    return "\n".join(lines) + "\n"


def top_class(module: Any) -> type[BaseModel]:
    """Return the recipe's class of a module: the one whose name ends in Recipe."""
    return next(
        value
        for name, value in vars(module).items()
        if name.endswith("Recipe") and value.__module__ == module.__name__
    )


def tables(name: str, table: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a table and those inside of it, each with its dotted name, once."""
    seen: set[type[BaseModel]] = set()
    waiting = [(name, table)]
    while waiting:
        name, table = waiting.pop(0)
        if table in seen:
            continue
        seen.add(table)
        yield name, table
        for key, field in table.model_fields.items():
            waiting += [(f"{name}.{key}".lstrip("."), t) for t in models_in(field.annotation)]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the tables that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def describe(table: type[BaseModel]) -> str:
    """Return the first paragraph of a table's docstring."""
    return " ".join((table.__doc__ or "").split("\n\n")[0].split())


def rows(table: type[BaseModel]) -> list[str]:
    """Draw a row per option."""
    drawn = []
    for name, field in table.model_fields.items():
        default = "required" if field.is_required() else show(field.get_default())
        drawn.append(f"| `{name}` | {default} | {cell(field.description or '')} |")
    return drawn


def show(value: Any) -> str:
    """Write a default as TOML would, or name the table that it is."""
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, BaseModel):
        return "the table below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f"`{value}`"


# --- plug-ins


def draw_datasets() -> str:
    """Draw what every data set says of itself, and its options."""
    lines = ["# Data sets", "", NOTE, "", "`[data] use = NAME` in a recipe, with these options."]
    return "\n".join(lines + plug_ins("datasets")) + "\n"


def draw_losses() -> str:
    """Draw what every loss term says of itself, and its options."""
    lines = ["# Loss terms", "", NOTE, ""]
    lines += ["`distil.terms = [{use = NAME, weight = 1.0, ...}]` in a recipe."]
    return "\n".join(lines + plug_ins("losses")) + "\n"


def plug_ins(room: str) -> list[str]:
    """Draw a section per plug-in of a room: its docstring, its options."""
    lines = []
    for name in plugins.names(room):
        module = importlib.import_module(f"destila.{room}.{name}")
        if not hasattr(module, "Options"):
            continue
        lines += ["", f"## {name}", "", "```text", (module.__doc__ or "").strip(), "```"]
        if drawn := rows(module.Options):
            lines += ["", "| option | default | what it does |", "| --- | --- | --- |", *drawn]
    return lines


if __name__ == "__main__":
    main()
