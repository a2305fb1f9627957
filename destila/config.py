"""TOML <-> frozen pydantic models: defaults, one line of help per field, overrides, fingerprints.

Unknown keys are refused with the nearest name, wrong types with the key's path. The filled model is
saved with every run, so nothing hidden shapes a result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from destila.errors import ConfigError
from destila.plugins import nearest
from destila.reading.escaping import short_value
from destila.reading.values import (
    MOST_TOML_BYTES,
    MalformedError,
    is_whole_number,
    parse_toml,
    read_utf8,
)
from destila.toml_text import REPRODUCTION, toml_value, write_table

_LATER = "later"
NAME_PATTERN = r"^\w([\w .+-]{0,98}[\w+-])?$"
"""Names that become folders: letters, digits and `_`, inside also blanks and `. + -`."""

_TOML_REMEDY = "a recipe is a text of UTF-8 (convert it, e.g. iconv -f latin1 -t utf-8)"
_MOST_EXTENDED = 16  # files by way of which one extends another


class Options(BaseModel):
    """Base of every table a user writes: frozen, extra keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=Options)


def opt(
    default: Any,
    help: str,
    *,
    argument: bool = False,
    flag: str = "",
    commas: bool = False,
    metavar: str = "",
    reproduction: bool = False,
    later: bool = False,
    **limits: Any,
) -> Any:
    """Declare a field with its help: `lr: float = opt(5e-5, "peak learning rate", gt=0)`.

    Args:
        default: its value when nothing is said; `...`: it is required.
        help: one line, for recipes and for the command line.
        argument: on the command line, an argument without a flag though it is not required.
        flag: on the command line, another name than `--field-name`; a required field with a flag is
            no argument.
        commas: on the command line, one list with commas rather than an option given several times.
        metavar: what help shows for its value.
        reproduction: it only reproduces published code; `init` leaves it out.
        later: it came after results were recorded; at its default no key of a result names it.
        limits: of pydantic: gt, ge, lt, le, min_length, ...
    """
    marks = {
        "argument": argument,
        "flag": flag,
        "commas": commas,
        "metavar": metavar,
        REPRODUCTION: reproduction,
        _LATER: later,
    }
    hints: dict[str, Any] = {key: value for key, value in marks.items() if value}
    return Field(default, description=help, json_schema_extra=hints or None, **limits)


class RecipeOptions(Options):
    """What every command of a recipe takes."""

    recipe: str = opt(..., "recipe (TOML)")
    set: tuple[str, ...] = opt(
        (), "override a key of the recipe: --set train.lr=1e-4", metavar="KEY=VALUE"
    )


COMMANDS_BY_KEY = {
    "matrix": "run",
    "students": "run",
    "data": "run",
    "files": "corpus",
    "corpora": "pretrain",
}
"""What a recipe is for, by a key that no other kind has."""


def load_config(kind: type[C], path: Path | str, overrides: Sequence[str] = ()) -> C:
    """Return the config in a TOML file, with `a.b=value` overrides applied.

    `extends = "other.toml"`, a path beside the file, takes all of another file and changes what
    this one says: tables key by key (unless it names another plug-in in `use`), anything else
    whole, lists of tables too.

    Raises:
        ConfigError: when a file is missing or no TOML, is a recipe of another command, or a key or
            a value is wrong.
    """
    data = _read(Path(path))

    # Another command's recipe would be wrong in every key; the one mistake is said.
    for key, command in COMMANDS_BY_KEY.items():
        if key in data and key not in kind.model_fields:
            raise ConfigError(
                f"{path} is a recipe of 'destila {command}' (it has '{key}'): give it to that "
                "command, or another recipe to this one"
            )
    return build_config(kind, data, overrides, where=str(path))


def build_config(
    kind: type[C], data: dict[str, Any], overrides: Sequence[str] = (), *, where: str = "config"
) -> C:
    """Return the validated config of a plain dict, with `a.b=value` overrides applied.

    Raises:
        ConfigError: when a key or a value is wrong; it begins with `where` and names the key, the
            value and the nearest key.
    """
    data = deepcopy(data) if overrides else data
    for override in overrides:
        _apply(data, override)

    # Three problems at most: one mistake often causes many.
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_describe(kind, each) for each in error.errors()[:3])
        raise ConfigError(f"{where}: {problems}") from error


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that name JSON-able parts (models, dicts, strings, numbers).

    Equal parts have equal names.
    """
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def key_values(options: BaseModel, *, exclude: Collection[str] = ()) -> dict[str, Any]:
    """Return the values of options that name a result.

    A field marked `later` is left out at its default, at any depth, so that a new option renames no
    older result.

    Args:
        options: filled.
        exclude: fields of the options themselves that change no result.
    """
    values = {}
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        later = isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(_LATER)
        if name not in exclude and not (later and value == field.default):
            values[name] = _key_value(value)
    return values


def _key_value(value: Any) -> Any:
    """Return a value of options, or of what they hold, as a key names it."""
    if isinstance(value, BaseModel):
        return key_values(value)
    if isinstance(value, dict):
        return {key: _key_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_key_value(each) for each in value]
    return value


def override(key: str, value: Any) -> str:
    """Return a key and its value as `load_config` takes them among its overrides."""
    return f"{key}={toml_value(value)}"


def to_toml(config: BaseModel, *, help: bool = True, reproduction: bool = True) -> str:
    """Return the TOML of a config; None is written as a commented key.

    Args:
        config: of any depth.
        help: write each field's help as a comment.
        reproduction: also write options that only reproduce published code, where they have their
            defaults.
    """
    lines: list[str] = []
    write_table(config, "", lines, help=help, reproduction=reproduction)
    return "\n".join(lines).strip() + "\n"


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file as they stand there, whatever they say.

    Raises:
        ConfigError: it is no TOML in UTF-8.
    """
    text = read_utf8(path, ConfigError, remedy=_TOML_REMEDY, most_bytes=MOST_TOML_BYTES)
    try:
        return parse_toml(text)
    except MalformedError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _read(path: Path, through: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the tables of a file, with those it extends.

    Args:
        path: of the file.
        through: the files that extend this one.
    """
    # A recipe that another one extends has another remedy than one that the user named.
    if not path.is_file():
        remedy = ": 'destila init DATA' writes one, 'destila list recipes' shows the shipped ones"
        if through:
            remedy = f", which {through[-1]} extends: give its path from the folder of that file"
        raise ConfigError(f"no recipe at {path}{remedy}")
    if path.resolve() in (each.resolve() for each in through) or len(through) > _MOST_EXTENDED:
        way = ", ".join(map(str, through))
        raise ConfigError(f"{path} extends itself, by way of {way}: drop one `extends`")

    data = read_toml(path)
    _check_own_code(data, path, through)

    # The file below is read first; what this one says is laid over it.
    other = data.pop("extends", None)
    if other is None:
        return data
    if not isinstance(other, str):
        raise ConfigError(f"{path}: key 'extends' = {other!r}: give the path of one recipe")
    return merge_tables(_read(path.parent / other, (*through, path)), data)


def _check_own_code(data: Any, path: Path, through: tuple[Path, ...]) -> None:
    """Raise ConfigError where a file that the user did not name brings code of its own.

    A recipe may name a plug-in by its path. One that it extends may do so only from the folder of
    the recipe, which is the user's; any other may have been fetched from anywhere.
    """
    if not through or path.resolve().is_relative_to(through[0].resolve().parent):
        return
    if isinstance(data, dict):
        use = data.get("use")
        if isinstance(use, str) and use.endswith(".py"):
            raise ConfigError(
                f"{path}, which {through[-1]} extends, runs code of its own "
                f"(use = {short_value(use)}): name that file in {through[0]}, or keep both in "
                "one folder"
            )
        data = list(data.values())
    for each in data if isinstance(data, list) else ():
        _check_own_code(each, path, through)


def merge_tables(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two tables as one, `above` before `below`.

    Options of another plug-in (`use`) than the one below are not mixed in.
    """
    if above.get("use", below.get("use")) != below.get("use"):
        return above
    # Only tables that both files have are merged key by key.
    both = {key for key in above if isinstance(above[key], dict)}
    both &= {key for key in below if isinstance(below[key], dict)}
    return {**below, **above, **{key: merge_tables(below[key], above[key]) for key in both}}


def _apply(data: dict[str, Any], override: str) -> None:
    """Write the value of `key.subkey=value` into nested tables; lists are indexed from 0."""
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    try:
        value = parse_toml(f"x = {raw}")["x"]
    except MalformedError:
        value = raw  # a bare word is a string: --set data.use=conll2002

    # Down to the table, or the list, that holds the last part of the key.
    node: Any = data
    *parts, last = key.split(".")
    for part in parts:
        node = node[int(part)] if _is_index(node, part) else _child(node, part, key)

    # The value goes into a list at its number, or into a table at its name.
    if _is_index(node, last):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {key}: '{last}' is not inside a table")


def _is_index(node: Any, part: str) -> bool:
    """Tell whether a part of a key is the number of an item that a list has."""
    return isinstance(node, list) and is_whole_number(part) and int(part) < len(node)


def _child(node: Any, part: str, key: str) -> Any:
    """Return the table under a part of a key, an empty one where there is none yet."""
    if not isinstance(node, dict):
        raise ConfigError(f"--set {key}: '{part}' is not inside a table (lists are indexed from 0)")
    return node.setdefault(part, {})


def _describe(kind: type[BaseModel], error: Any) -> str:
    """Return what is wrong with a key, in our words."""
    path = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        # The nearest name is looked for in the table that the key stands in.
        owner = _owner(kind, error["loc"][:-1])
        known = sorted(owner.model_fields) if owner else []
        return f"unknown key '{path}'.{nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"key '{path}' is required"

    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME_PATTERN:
        return (
            f"key '{path}' = {short_value(error['input'])} becomes the name of a folder: letters, "
            "digits and _, inside also blanks and . + -, at most 100"
        )

    message: str = error["msg"].removeprefix("Value error, ")
    if not path:  # about the whole file, which is no value to show
        return message
    return f"key '{path}' = {short_value(error['input'])}: {message}"


def _owner(kind: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model that owns the key at `loc`, through lists and optional fields."""
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
    """Return the model that a type is or holds, such as M of `tuple[M, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = map(_model_in, get_args(annotation))
    return next((model for model in inner if model), None)
