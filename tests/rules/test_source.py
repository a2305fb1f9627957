"""Habits of the source text: short files and functions, no print, no broad except, no unfinished work."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from destila import plugins

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
BROAD = {"Exception", "BaseException"}


def test_no_file_is_long(modules: list[Any]) -> None:
    assert not [str(m.path) for m in modules if m.text.count("\n") > MAX_FILE_LINES]


def test_no_function_is_long(modules: list[Any]) -> None:
    functions = [
        (f"{m.path}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for m in modules
        for node in ast.walk(m.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 100
    assert not [item for item in functions if item[1] > MAX_FUNCTION_LINES]


def test_only_the_command_line_prints(modules: list[Any]) -> None:
    library = [m for m in modules if m.room not in ("cli", "__main__")]
    assert not [
        f"{m.path}:{node.lineno}"
        for m in library
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "rich.print", "sys.stdout.write")
    ]


def translates(node: ast.Try, handler: ast.ExceptHandler) -> bool:
    """One call in the `try`, and an error of ours raised from it: for libraries that raise a bare Exception."""
    raised = handler.body[0]
    return (
        len(node.body) == len(handler.body) == 1
        and isinstance(raised, ast.Raise)
        and raised.cause is not None
    )


def test_no_except_is_broad(modules: list[Any]) -> None:
    tries = [(m, node) for m in modules for node in ast.walk(m.tree) if isinstance(node, ast.Try)]
    assert len(tries) > 5
    assert not [
        f"{m.path}:{handler.lineno}"
        for m, node in tries
        for handler in node.handlers
        if handler.type is None
        or (
            {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)} & BROAD
            and not translates(node, handler)
        )
    ]


def test_nothing_is_left_unfinished(modules: list[Any]) -> None:
    assert not [f"{m.path}: {found[0]}" for m in modules if (found := UNFINISHED.search(m.text))]


def test_every_module_says_what_it_does(modules: list[Any]) -> None:
    assert not [str(m.path) for m in modules if len(ast.get_docstring(m.tree) or "") < 20]


@pytest.mark.parametrize("name", ["losses", "datasets"])
def test_every_plug_in_defines_what_its_room_promises(modules: list[Any], name: str) -> None:
    needs = {"losses": {"Options", "build"}, "datasets": {"TASK", "LABELS", "Options", "load"}}
    own = [m for m in modules if m.room == name and m.path.stem in plugins.names(name)]
    assert len(own) >= 4
    for module in own:
        targets = [
            t for n in module.tree.body for t in getattr(n, "targets", [getattr(n, "target", None)])
        ]
        defined = {getattr(n, "name", None) for n in module.tree.body} | {
            getattr(t, "id", None) for t in targets
        }
        assert needs[name] <= defined, module.path
