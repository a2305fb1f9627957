"""How a filled config is written as TOML, with a line of help at every key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

REPRODUCTION = "reproduction"
"""Mark of a field that only reproduces published code."""


def write_table(
    config: BaseModel, prefix: str, lines: list[str], *, help: bool, reproduction: bool
) -> None:
    """Append the lines of a table: its own keys first, as TOML wants them, then its tables."""
    tables: list[tuple[str, Any]] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel) or _is_list_of_tables(value):
            tables.append((name, value))
            continue
        if not reproduction and _only_reproduces(field) and value == field.default:
            continue
        note = f"  # {field.description}" if help and field.description else ""
        text = f"# {name} =" if value is None else f"{name} = {toml_value(value)}"
        lines.append(text + note)

    # A list of tables is [[name]] for each of them.
    for name, value in tables:
        path = f"{prefix}{name}"
        several = isinstance(value, Sequence)
        for item in value if several else [value]:
            lines += ["", f"[[{path}]]" if several else f"[{path}]"]
            write_table(item, f"{path}.", lines, help=help, reproduction=reproduction)


def _is_list_of_tables(value: Any) -> bool:
    """Tell whether a value is written as [[tables]]."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and isinstance(value[0], BaseModel)


def _only_reproduces(field: FieldInfo) -> bool:
    """Tell whether `opt` marks a field as one that only reproduces published code."""
    hints = field.json_schema_extra
    return isinstance(hints, dict) and bool(hints.get(REPRODUCTION))


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = (f"{_key(k)} = {toml_value(v)}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    # 1e3 is written 1000.0, so that it is read as a float again.
    if isinstance(value, float) and abs(value) < 1e15 and value == int(value):
        return f"{value:.1f}"
    return repr(value) if isinstance(value, int | float) else _string(str(value))


def _key(key: str) -> str:
    """Return a key as TOML writes it, bare where that is allowed."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    """Return a text as a basic string of TOML."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\x7f", "\\u007f")  # the one that TOML escapes and JSON does not
