"""TOML <-> frozen pydantic models: defaults, one line of help per field, dotted overrides, fingerprints.

Unknown keys are refused with the nearest name, wrong types with the key's path. The filled model is saved
with every run, so nothing hidden shapes a result.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from destila.errors import ConfigError
from destila.plugins import nearest


class Options(BaseModel):
    """Base of every table a user writes: frozen, extra keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Options)


def opt(default: Any, help: str, **limits: Any) -> Any:
    """A config field with its help and limits: `lr: float = opt(5e-5, "peak learning rate", gt=0)`."""
    return Field(default, description=help, **limits)


def load_config(kind: type[C], path: Path | str, overrides: Sequence[str] = ()) -> C:
    """The config in a TOML file with `a.b=value` overrides applied; raises ConfigError.

    `extends = "other.toml"`, a path beside the file, takes all of another file and changes what this one says: tables key
    by key (unless it names another plug-in in `use`), anything else whole, lists of tables too.
    """
    return build_config(kind, _read(Path(path)), overrides, where=str(path))


def _read(path: Path, through: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file, those it extends included. through: the files that extend this one."""
    if not path.is_file():
        asked = (
            f", which {through[-1]} extends: give its path from the folder of that file"
            if through
            else ""
        )
        raise ConfigError(
            f"no recipe at {path}"
            + (
                asked
                or ": 'destila init DATA' writes one, 'destila list recipes' shows the shipped ones"
            )
        )
    if path.resolve() in (each.resolve() for each in through):
        raise ConfigError(
            f"{path} extends itself, by way of {', '.join(map(str, through))}: drop one `extends`"
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    other = data.pop("extends", None)
    if other is None:
        return data
    if not isinstance(other, str):
        raise ConfigError(f"{path}: key 'extends' = {other!r}: give the path of one recipe")
    return _merged(_read(path.parent / other, (*through, path)), data)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two tables as one: what `above` says counts. Options of another plug-in (`use`) than below's are not mixed in."""
    if above.get("use", below.get("use")) != below.get("use"):
        return above
    tables = {k for k, v in above.items() if isinstance(v, dict) and isinstance(below.get(k), dict)}
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in tables}}


def build_config(
    kind: type[C], data: dict[str, Any], overrides: Sequence[str] = (), *, where: str = "config"
) -> C:
    """The validated config of a plain dict; raises ConfigError naming the key, the value and the nearest key."""
    data = deepcopy(data) if overrides else data
    for override in overrides:
        _apply(data, override)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            f"{where}: " + "; ".join(_say(kind, e) for e in error.errors()[:3])
        ) from error


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    try:
        value = tomllib.loads(f"x = {raw}")["x"]
    except tomllib.TOMLDecodeError:
        value = raw  # a bare word is a string: --set data.use=conll2002
    node: Any = data
    parts = key.split(".")
    for part in parts[:-1]:
        node = (
            node[int(part)]
            if isinstance(node, list) and part.isdigit() and int(part) < len(node)
            else _child(node, part, key)
        )
    if isinstance(node, list) and parts[-1].isdigit() and int(parts[-1]) < len(node):
        node[int(parts[-1])] = value
    elif isinstance(node, dict):
        node[parts[-1]] = value
    else:
        raise ConfigError(f"--set {key}: '{parts[-1]}' is not inside a table")


def _child(node: Any, part: str, key: str) -> Any:
    if not isinstance(node, dict):
        raise ConfigError(f"--set {key}: '{part}' is not inside a table (lists are indexed from 0)")
    return node.setdefault(part, {})


def _say(kind: type[BaseModel], error: Any) -> str:
    path = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        owner = _owner(kind, error["loc"][:-1])
        known = sorted(owner.model_fields) if owner else []
        return f"unknown key '{path}'.{nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"key '{path}' is required"
    said: str = error["msg"].removeprefix("Value error, ")
    if not path:  # about the whole file, which is no value to show
        return said
    return f"key '{path}' = {error['input']!r}: {said}"


def _owner(kind: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that owns the key at `loc`, stepping through lists and optional fields."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = kind.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return None
        kind = inner
    return kind


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)


def fingerprint(*parts: Any) -> str:
    """16 hex digits that name JSON-able parts (models, dicts, strings, numbers); equal parts, equal name."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def to_toml(config: BaseModel, *, help: bool = True) -> str:
    """The complete TOML of a config: every field, its help as a comment; None is written as a commented key."""
    lines: list[str] = []
    _table(config, "", lines, help)
    return "\n".join(lines).strip() + "\n"


def _table(config: BaseModel, prefix: str, lines: list[str], help: bool) -> None:
    later: list[tuple[str, Any]] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        models = (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and value
            and isinstance(value[0], BaseModel)
        )
        if isinstance(value, BaseModel) or models:
            later.append((name, value))
            continue
        note = f"  # {field.description}" if help and field.description else ""
        lines.append(f"# {name} ={note}" if value is None else f"{name} = {_value(value)}{note}")
    for name, value in later:
        path = f"{prefix}{name}"
        for item in value if isinstance(value, Sequence) else [value]:
            lines += ["", f"[[{path}]]" if isinstance(value, Sequence) else f"[{path}]"]
            _table(item, f"{path}.", lines, help)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, float) and abs(value) < 1e15 and value == int(value):
        return f"{value:.1f}"
    return repr(value) if isinstance(value, int | float) else _string(str(value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # the one that TOML escapes and JSON does not
