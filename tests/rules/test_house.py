"""The house in order: small rooms without circles, one name for one thing, constructors that only construct.

What still breaks a rule stands in `pending.txt`, one case a line, and goes when it is mended; a new
case fails at once.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rules.conftest import ROOT

MAX_ROOM_FILES, MAX_ROOM_LINES, MAX_COMMAND_LINES, MAX_TEST_NAME = 17, 2600, 120, 60
ONE_FILE_EACH = {"commands", "datasets"}
PLUG_INS = {"baselines", "commands", "datasets", "losses", "tasks"}
PLUG_IN_NAMES = {
    "SHARED",
    "TASK",
    "LABELS",
    "Options",
    "load",
    "build",
    "fit",
    "Config",
    "run",
    "show",
    "PANEL",
    "RESUMES",
}
BANNED = {"found", "said", "told", "heard", "mine", "theirs"}
WRITERS = {
    "write_text",
    "write_bytes",
    "write_json",
    "write_with",
    "mkdir",
    "save",
    "savez",
    "touch",
    "rename",
}


def pending(rule: str) -> set[str]:
    """Return what is known to break a rule and waits to be mended."""
    lines = (Path(__file__).parent / "pending.txt").read_text(encoding="utf-8").splitlines()
    return {line.partition(": ")[2] for line in lines if line.startswith(f"{rule}: ")}


def new(rule: str, broken: set[str]) -> list[str]:
    """Return what breaks a rule and is not pending."""
    return sorted(broken - pending(rule))


def definitions(tree: ast.Module) -> Iterator[str]:
    """Yield the functions, classes and constants that a module defines at its top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def identifiers(tree: ast.Module) -> Iterator[str]:
    """Yield every name that a module gives to something: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules that reach one another."""
    reached = {name: _reachable(name, edges) for name in edges}
    groups = {
        frozenset(b for b in reached[a] if a in reached.get(b, ()))
        for a in edges
        if a in reached[a]
    }
    return [set(group) for group in groups]


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        fresh = edges.get(todo.pop(), set()) - seen
        seen |= fresh
        todo += fresh
    return seen


def writes(call: ast.Call) -> bool:
    """Say whether a call writes to the disk."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [
        a.value
        for a in [*call.args, *(k.value for k in call.keywords)]
        if isinstance(a, ast.Constant)
    ]
    return name in WRITERS or (
        name == "open" and any(str(mode)[:1] in ("w", "a", "x") for mode in modes)
    )


def files_of_tests() -> list[Path]:
    """Return the test files, those of these rules and of what needs a GPU apart."""
    files = sorted(
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent.name not in ("rules", "gpu")
    )
    assert len(files) > 50
    return files


def broken_rooms(modules: list[Any]) -> set[str]:
    sizes: dict[str, list[int]] = defaultdict(list)
    for module in modules:
        folder = module.path.parent.as_posix()  # a room inside a room counts for itself
        if len(module.path.parts) > 2 and module.room not in ONE_FILE_EACH:
            sizes[folder].append(module.text.count("\n"))
    assert len(sizes) > 10
    return {
        name
        for name, lines in sizes.items()
        if len(lines) > MAX_ROOM_FILES or sum(lines) > MAX_ROOM_LINES
    }


def broken_circles(modules: list[Any]) -> set[str]:
    names = {m.name for m in modules}
    edges = {
        m.name: {_module(name, names) for _, name in m.imports()} & names - {m.name}
        for m in modules
    }
    assert sum(map(len, edges.values())) > 100
    return {" <-> ".join(sorted(group)) for group in circles(edges)}


def _module(name: str, names: set[str]) -> str:
    """Return the module that an imported name lies in."""
    return name if name in names else name.rpartition(".")[0]


def broken_names(modules: list[Any]) -> set[str]:
    where: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        allowed = PLUG_IN_NAMES if module.room in {*PLUG_INS, "destila"} else {"Config", "Options"}
        for name in definitions(module.tree):
            if not name.startswith("_") and name not in {
                *allowed,
                "log",
            }:  # every room has a logger
                where[name].add(module.name)
    assert len(where) > 300
    return {name for name, files in where.items() if len(files) > 1}


def broken_files(modules: list[Any]) -> set[str]:
    own = [m.path.name for m in modules if m.room not in PLUG_INS and m.path.name != "__init__.py"]
    assert len(own) > 50
    return {name for name, count in Counter(own).items() if count > 1}


def broken_banned(modules: list[Any]) -> set[str]:
    return {str(m.path) for m in modules if BANNED & set(identifiers(m.tree))}


def broken_constructors(modules: list[Any]) -> set[str]:
    methods = [
        (f"{m.name}.{owner.name}", method)
        for m in modules
        for owner in ast.walk(m.tree)
        if isinstance(owner, ast.ClassDef)
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and method.name in ("__init__", "__post_init__")
    ]
    assert len(methods) > 10
    return {
        name
        for name, m in methods
        if any(isinstance(n, ast.Call) and writes(n) for n in ast.walk(m))
    }


def broken_commands(modules: list[Any]) -> set[str]:
    commands = [m for m in modules if m.room == "commands"]
    assert len(commands) > 10
    return {str(m.path) for m in commands if m.text.count("\n") > MAX_COMMAND_LINES}


def broken_test_names(modules: list[Any]) -> set[str]:
    del modules
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files_of_tests()}
    return {
        str(path.relative_to(ROOT))
        for path, tree in trees.items()
        if any(
            isinstance(n, ast.FunctionDef)
            and n.name.startswith("test_")
            and len(n.name) >= MAX_TEST_NAME
            for n in ast.walk(tree)
        )
    }


def broken_test_files(modules: list[Any]) -> set[str]:
    """Return the test files that are named for no module of their room, with or without an aspect behind it."""
    names = {m.name for m in modules}
    return {
        str(path.relative_to(ROOT))
        for path in files_of_tests()
        if not any(name in names for name in _tested(path))
    }


def _tested(path: Path) -> Iterator[str]:
    """Yield what a test file may be the test of: `tests/models/test_hf_load.py` of `destila.models.hf_load` or `.hf`."""
    room = ".".join(["destila", *path.relative_to(ROOT / "tests").parts[:-1]])
    words = path.stem.removeprefix("test_").split("_")
    for end in range(len(words), 0, -1):
        name = "_".join(words[:end])
        yield from (f"{room}.{name}", f"{room}._{name}")
    if words[0] == room.rpartition(".")[2]:
        yield room


RULES = {
    "rooms": broken_rooms,
    "circles": broken_circles,
    "names": broken_names,
    "files": broken_files,
    "banned": broken_banned,
    "constructors": broken_constructors,
    "commands": broken_commands,
    "test names": broken_test_names,
    "test files": broken_test_files,
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_house_holds(modules: list[Any], rule: str) -> None:
    """Whatever breaks the rule today and did not before is named."""
    assert not new(rule, RULES[rule](modules))


def test_circles_of_two_and_three_are_seen() -> None:
    """Two modules that import each other, and three in a ring, are one circle each."""
    edges = {"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"e"}, "e": {"c"}, "f": {"a"}}
    assert sorted(map(sorted, circles(edges))) == [["a", "b"], ["c", "d", "e"]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("path.mkdir()", True), ("open(path, 'w')", True), ("open(path)", False)],
)
def test_a_call_that_writes_is_seen(source: str, expected: bool) -> None:
    """Reading is no writing."""
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert writes(call) == expected
