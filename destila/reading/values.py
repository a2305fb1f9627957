"""JSON and TOML of strangers -> plain values, with limits on depth, size and kinds of numbers.

No other file parses text that somebody else may have written. What comes out is at most
`MOST_DEPTH` containers deep, holds no NaN, and no half of a surrogate pair, which no file in UTF-8
could hold.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from destila.errors import DestilaError

MOST_DEPTH = 100
"""Containers inside one another; real files have under ten."""

MOST_BYTES = 1 << 30
"""Of a file that is read as a whole; the largest tokenizer has 40 MB."""

MOST_TOML_BYTES = 1 << 20
_MOST_PARTS = 2_000  # dots of a line; a key of that many parts would take seconds
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_HALVES = re.compile("[\ud800-\udfff]")


class MalformedError(ValueError):
    """A text is not what it should be; its message says in one line why, and where."""


def parse_json(text: str, *, missing: bool = False, unique: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: one value.
        missing: read NaN as null, as tables of data mean it; False refuses it.
        unique: refuse an object that has a key twice.

    Raises:
        MalformedError: it is no JSON, too deep, or holds an endless integer or NaN.
    """
    decoder = _UNIQUE if unique else _MISSING if missing else _STRICT
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise MalformedError(f"{error.msg} at {place}") from error
    except RecursionError as error:
        raise MalformedError(f"nested more than {MOST_DEPTH} deep") from error
    except ValueError as error:
        raise MalformedError(_first_line(error)) from error

    # Most texts are flat by their brackets alone; the others are looked at value by value.
    if len(text) > 2 * MOST_DEPTH and not _is_flat(text):
        _check_depth(value)
    return _whole(value) if "\\u" in text else value


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        MalformedError: it is no TOML, too deep, or holds an endless integer.
    """
    # The parser takes the square of a key's parts.
    if any(line.count(".") > _MOST_PARTS for line in text.splitlines()):
        raise MalformedError(f"nested more than {MOST_DEPTH} deep")

    try:
        value = tomllib.loads(text)
    except RecursionError as error:
        raise MalformedError(f"nested more than {MOST_DEPTH} deep") from error
    except ValueError as error:
        raise MalformedError(_first_line(error)) from error
    _check_depth(value)
    return value


def read_utf8(
    path: Path, error: type[DestilaError], *, remedy: str, most_bytes: int = MOST_BYTES
) -> str:
    """Return a whole file of UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        error: raised where it cannot be read.
        remedy: the end of the error.
        most_bytes: a larger file is refused unread.

    Raises:
        DestilaError: of the kind `error`: the file is too large, or is not UTF-8.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise error(f"{path} has {size:,} bytes, at most {most_bytes:,} are read: {remedy}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        byte = f"byte {fault.start} is 0x{fault.object[fault.start]:02x}"
        raise error(f"{path} is not UTF-8: {byte}: {remedy}") from fault


def read_json(path: Path, error: type[DestilaError], *, remedy: str, unique: bool = False) -> Any:
    """Return the value in a JSON file; see `read_utf8` and `parse_json`.

    Raises:
        DestilaError: of the kind `error`: the file cannot be read, or is no JSON.
    """
    text = read_utf8(path, error, remedy=remedy)
    try:
        return parse_json(text, unique=unique)
    except MalformedError as fault:
        raise error(f"{path} is not valid JSON ({fault}): {remedy}") from fault


def read_json_object(
    path: Path, error: type[DestilaError], *, remedy: str, unique: bool = True
) -> dict[str, Any]:
    """Return the object in a JSON file; see `read_json`.

    Raises:
        DestilaError: of the kind `error`: also where the file holds something else.
    """
    value = read_json(path, error, remedy=remedy, unique=unique)
    if not isinstance(value, dict):
        raise error(f"{path} must hold a JSON object, not {type(value).__name__}: {remedy}")
    return value


def is_whole_number(text: str) -> bool:
    """Tell whether a text is digits 0 to 9 alone, few enough for any count: not `²`, not `٣`."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _is_flat(text: str) -> bool:
    """Tell whether brackets alone show that no container lies too deep; False: perhaps one does."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return True

    # Each round takes the innermost pairs away; brackets inside of strings may leave a rest.
    brackets = text.encode("utf-8", "replace").translate(_SQUARE, _NO_BRACKETS)
    for _ in range(MOST_DEPTH):
        rest = brackets.replace(b"[]", b"")
        if len(rest) == len(brackets):
            break
        brackets = rest
    return not brackets


def _check_depth(value: Any) -> None:
    """Raise MalformedError where containers lie too deep inside one another."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise MalformedError(f"nested more than {MOST_DEPTH} deep")


def _whole(value: Any) -> Any:
    """Return a value whose texts hold U+FFFD where they held half of a surrogate pair."""
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return value


def _decoder(constant: Callable[[str], Any], **hooks: Any) -> json.JSONDecoder:
    """Return a decoder, made once: the C code of the library is as fast with it as without."""
    return json.JSONDecoder(parse_constant=constant, **hooks)


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedError(f"{name} is no number of JSON: write null")


def _null_for_nan(name: str) -> None:
    """Read NaN as null; an infinite number stays an error."""
    if name != "NaN":
        _refuse_constant(name)


def _object_of_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise MalformedError where a key occurs twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise MalformedError(f"key {twice!r} occurs twice in one object")
    return value


def _first_line(error: ValueError) -> str:
    """Return what an error of a parser says, in one line of at most 200 characters."""
    if "integer string conversion" in str(error):  # Python's own limit
        return f"an integer of over {sys.get_int_max_str_digits():,} digits"
    return " ".join(str(error).split())[:200]


_STRICT = _decoder(_refuse_constant)
_MISSING = _decoder(_null_for_nan)
_UNIQUE = _decoder(_refuse_constant, object_pairs_hook=_object_of_unique)
