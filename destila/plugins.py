"""Plug-ins are modules with well-known names, found by file name or by path.

`use = "kl"` is `destila/losses/kl.py`; `use = "./mine.py"` is the user's own file. No decorator, no registry.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from destila.errors import ConfigError


def names(room: str) -> list[str]:
    """List the plug-ins shipped in a room (`"losses"`, `"datasets"`, ...), sorted.

    Modules that its plug-ins share begin with an underscore, or the room names them in `SHARED`.
    """
    package = importlib.import_module(f"destila.{room}")
    shared = getattr(package, "SHARED", ())
    every = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return sorted(name for name in every if not name.startswith("_") and name not in shared)


def nearest(name: str, known: list[str]) -> str:
    """The end of an error message: ' Did you mean ...?' when a name is close, and the list of what exists."""
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(known)}."


def find(room: str, use: str, *needs: str) -> ModuleType:
    """The plug-in module named `use` in a room, or at a path ending in .py.

    needs: names the module must define. Raises ConfigError with the nearest name when nothing fits.
    """
    if use.endswith(".py"):
        module = _from_path(Path(use))
    else:
        known = names(room)
        if use not in known:
            raise ConfigError(
                f"no {room} plug-in is called '{use}'.{nearest(use, known)} A path ending in .py also works."
            )
        module = importlib.import_module(f"destila.{room}.{use}")
    missing = [name for name in needs if not hasattr(module, name)]
    if missing:
        raise ConfigError(f"plug-in '{use}' of {room} does not define {', '.join(missing)}")
    return module


def _from_path(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"no plug-in file at {path}: give an existing .py file")
    place = hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    name = f"destila_plugin_{path.stem}_{place}"  # two files of one name stay apart
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their own module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(
            f"{path} is not valid Python: {error.msg}, line {error.lineno}"
        ) from error
    return module
