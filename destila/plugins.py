"""Plug-ins are modules with well-known names, looked up by file name or by path.

`use = "kl"` is `destila/losses/kl.py`; `use = "./my_loss.py"` is the user's own file. There is no
decorator and no registry.

A file is run only because a user named it, in a recipe or in `DESTILA_PLUGINS` (several are parted
as in `PATH`); a model folder that names one cannot have it run. Its failures are shown as its file,
line and message.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import logging
import os
import pkgutil
import sys
import traceback
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from destila.errors import ConfigError, DestilaError

log = logging.getLogger(__name__)
NAMED = "DESTILA_PLUGINS"
"""Environment variable: files that the user has named, for this process and its children."""
_PREFIX = "destila_plugin_"


@dataclass(frozen=True, slots=True)
class Description:
    """What the source of a plug-in says of it.

    about: the first line of its docstring. names: what it defines or imports by name at its top
    level. constants: those whose value is written out.
    """

    about: str
    names: frozenset[str]
    constants: dict[str, Any]


def names(room: str) -> list[str]:
    """List the plug-ins shipped in a room (`"losses"`, `"datasets"`, ...), sorted.

    Modules that its plug-ins share begin with an underscore, or the room names them in `SHARED`.
    """
    package = importlib.import_module(f"destila.{room}")
    shared = getattr(package, "SHARED", ())
    every = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return sorted(name for name in every if not name.startswith("_") and name not in shared)


def nearest(name: str, known: list[str]) -> str:
    """Return the end of an error message: the nearest name, if one is close, and all that exist."""
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(known)}."


def find(room: str, use: str, *needs: str) -> ModuleType:
    """Return the plug-in module named `use` in a room, or at a path ending in .py.

    Args:
        room: of plug-ins, such as "losses".
        use: a name, or the path of a file.
        needs: names that the module must define.

    Raises:
        ConfigError: when nothing fits; it says the nearest name, or what is missing.
    """
    # A path is the user's own file, a name one of ours.
    if is_path(use):
        module = _from_path(Path(use))
    else:
        known = names(room)
        if use not in known:
            raise ConfigError(
                f"no {room} plug-in is called '{use}'.{nearest(use, known)} "
                "A path ending in .py also works."
            )
        module = importlib.import_module(f"destila.{room}.{use}")

    # What a plug-in lacks is said here, not where it is used.
    missing = [name for name in needs if not hasattr(module, name)]
    if missing:
        raise ConfigError(f"plug-in '{use}' of {room} does not define {', '.join(missing)}")
    return module


def is_path(use: str) -> bool:
    """Tell whether a name of a plug-in is the path of a file."""
    return use.endswith(".py")


def is_named(path: Path) -> bool:
    """Tell whether the user has named a file of code, in a recipe or in `DESTILA_PLUGINS`."""
    named = [Path(each) for each in os.environ.get(NAMED, "").split(os.pathsep) if each]
    return path.resolve() in [each.resolve() for each in named]


class PlugInFaults:
    """A block in which an error of a user's plug-in becomes one line: its file, line and message.

    Errors of ours, and those that no plug-in had a part in, go through.
    """

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the block; raise ConfigError for an error that passed through a plug-in."""
        if kind is None or not issubclass(kind, Exception) or issubclass(kind, DestilaError):
            return
        assert error is not None
        if isinstance(error, SyntaxError) and str(error.filename).endswith(".py"):
            raise ConfigError(
                f"{error.filename} is not valid Python: {error.msg}, line {error.lineno}"
            ) from error

        # The last line of a plug-in before the error is the one to look at.
        lines = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(trace)
            if str(frame.f_globals.get("__name__")).startswith(_PREFIX)
        ]
        if lines:
            file, line = lines[-1]
            raise ConfigError(f"{file}, line {line}: {kind.__name__}: {error}") from error


def describe(room: str, name: str) -> Description:
    """Return what the source of a shipped plug-in says of it, without importing it."""
    place = Path(__file__).parent / room / name
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))

    # Names at the top level alone: a plug-in is known by those.
    defined: set[str] = set()
    constants: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            variables = [target.id for target in targets if isinstance(target, ast.Name)]
            defined |= set(variables)
            if isinstance(node.value, ast.Constant):
                constants |= dict.fromkeys(variables, node.value.value)

    about = (ast.get_docstring(tree) or "").split("\n", 1)[0]
    return Description(about, frozenset(defined), constants)


class _Uncached(SourceFileLoader):
    """A loader that leaves no `__pycache__` in a user's folder."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def _from_path(path: Path) -> ModuleType:
    """Import a file as a module of its own."""
    if not path.is_file():
        raise ConfigError(f"no plug-in file at {path}: give an existing .py file")

    place = hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    name = f"{_PREFIX}{path.stem}_{place}"  # two files of one name stay apart
    spec = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as a Python module")

    # Said once, and passed on: a child process measures a model of the user's own task.
    if not is_named(path):
        log.warning("running the code of %s, which was named as a plug-in", path)
        named = [os.environ.get(NAMED, ""), str(path.resolve())]
        os.environ[NAMED] = os.pathsep.join(filter(None, named))

    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their own module up
    with PlugInFaults():
        spec.loader.exec_module(module)
    return module
