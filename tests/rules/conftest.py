"""What every rule looks at. A rule that finds nothing to check must fail, so the fixtures refuse to be empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def room_of(name: str) -> str:
    """Return the room of a dotted name; two rooms have rooms of their own inside."""
    parts = name.split(".")
    if ".".join(parts[1:3]) in ("pretraining.data", "study.planning", "study.intake"):
        return ".".join(parts[1:3])
    return parts[1] if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class Module:
    """A source file of the package: its path in the repository, dotted name, text and syntax tree."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """`text` for `destila.tokenizer.split_words`; the module's own name for `destila.types`; `destila` for the package."""
        return room_of(self.name)

    def imports(
        self, *, typing_only: bool = True, inside: bool = True
    ) -> Iterator[tuple[int, str]]:
        """Line and absolute name of every import, at any depth; those for type checkers can be left out,
        and those inside of functions too."""
        unseen = {
            id(node)
            for block in ast.walk(self.tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
            for child in block.body
            for node in ast.walk(child)
        }
        if not inside:
            functions = [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef)]
            unseen_inside = {id(child) for node in functions for child in ast.walk(node)}
        else:
            unseen_inside = set()
        for node in ast.walk(self.tree):
            if id(node) in unseen_inside or (not typing_only and id(node) in unseen):
                continue
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: imports are absolute"
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _read(path: Path) -> Module:
    inner = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(inner[:-1] if inner[-1] == "__init__" else inner)
    text = path.read_text(encoding="utf-8")
    return Module(path.relative_to(ROOT), name, text, ast.parse(text))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of the package."""
    found = [_read(path) for path in sorted((ROOT / "destila").rglob("*.py"))]
    assert len(found) > 20, "the package was not found: this rule would check nothing"
    return found


@pytest.fixture(scope="session")
def readme() -> str:
    """The README's text."""
    return (ROOT / "README.md").read_text(encoding="utf-8")
