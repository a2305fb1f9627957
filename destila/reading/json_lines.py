"""A line of JSON checked against the fields of a dataclass, by pydantic.

The dataclass is written once; what its fields are said to hold is what a line must hold.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from destila.errors import DestilaError
from destila.reading.escaping import short_value

LARGEST = 1 << 62
"""Of any number of a line, and the negative of the smallest: beyond it no count is real."""


@functools.cache
def line_model(kind: type[Any], **changes: Any) -> type[BaseModel]:
    """Return the pydantic model of a line that holds a dataclass.

    Args:
        kind: the dataclass.
        changes: other types for some of its fields.
    """
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {
        each.name: (
            changes.get(each.name) or _kind_of(hints[each.name]),
            ... if is_required(each) else None,
        )
        for each in dataclasses.fields(kind)
    }
    config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
    return create_model(kind.__name__, __config__=config, **fields)


def check_line(
    model: type[BaseModel], value: Any, where: str, error: type[DestilaError], *, remedy: str
) -> None:
    """Check an object of a line against a model.

    Args:
        model: made by `line_model`.
        value: the object.
        where: what holds it, for the error.
        error: raised where it does not fit.
        remedy: the end of the error.

    Raises:
        DestilaError: of the kind `error`; it names the key, its value and what is expected.
    """
    try:
        model.model_validate(value)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise error(
            f"{where}: key '{key}' = {short_value(first['input'])}: {message}: {remedy}"
        ) from fault


def check_names(
    kind: type[Any], value: Any, where: str, error: type[DestilaError], *, remedy: str
) -> None:
    """Check that the keys of an object are the fields of a dataclass.

    Raises:
        DestilaError: of the kind `error`; it names every key that is missing or unknown.
    """
    if not isinstance(value, Mapping):
        raise error(f"{where}: expected an object, found {type(value).__name__}: {remedy}")

    fields = {field.name: field for field in dataclasses.fields(kind)}
    required = {name for name, field in fields.items() if is_required(field)}
    missing, unknown = sorted(required - value.keys()), sorted(value.keys() - fields.keys())
    problems = [f"lacks {missing}"] if missing else []
    problems += [f"has unknown {unknown}"] if unknown else []
    if problems:
        raise error(f"{where} {' and '.join(problems)}: {remedy}")


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Tell whether a field of a dataclass has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector back: counts of items are 100,000 lists, none of them garbage.

    It would look at all of them again and again, a third of the time that records take to read.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _kind_of(hint: Any) -> Any:
    """Return the type that a field has in a line of JSON."""
    if dataclasses.is_dataclass(hint):
        return line_model(hint)  # type: ignore[arg-type]
    if hint in (int, float):
        return Annotated[hint, Field(lt=LARGEST, gt=-LARGEST)]

    inner = [_kind_of(each) for each in get_args(hint)]
    if get_origin(hint) is Sequence:
        return list[inner[0]]  # type: ignore[valid-type]
    return dict[inner[0], inner[1]] if inner else hint  # type: ignore[valid-type]
