"""What the JSON files of a model folder must look like, as pydantic models.

Keys that nothing here reads may hold anything; those that are read have the right kind, and numbers
that decide how much memory is taken have limits. A file is checked and then used as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from destila.errors import DestilaError
from destila.reading.escaping import short_value
from destila.reading.values import read_json_object

FILE_NAME = r"^[\p{L}\p{N}_][\p{L}\p{N}_. +=@,()-]*$"
"""A file beside the one that names it: no separator, no `..` above it, no control character."""

MOST_PIECES = 1 << 24
"""Rows of a token table; published ones have a million at most."""

MOST_THREADS = 1024


class _File(BaseModel):
    """Base of every file: keys that are not named may be anything, values are not converted."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)


F = TypeVar("F", bound=BaseModel)
_Count = Annotated[int, Field(ge=0, le=1 << 31)]
_Name = Annotated[str, Field(pattern=FILE_NAME, max_length=200)]
_Label = str | int | float | bool


class ModelConfigFile(_File):
    """config.json of a model folder, as far as it is read without the model's own reader."""

    architectures: list[str] | None = None
    model_type: str | None = None
    problem_type: str | None = None
    id2label: dict[str, _Label] | None = None
    hidden_act: str | None = None
    activation: str | None = None
    is_decoder: bool | None = None
    max_position_embeddings: _Count | None = None
    num_hidden_layers: _Count | None = None
    num_hidden_groups: _Count | None = None
    num_attention_heads: _Count | None = None
    hidden_size: _Count | None = None
    vocab_size: _Count | None = None


class DestilaFile(_File):
    """destila.json: what a config.json has no place for."""

    task: str | None = None
    labels: list[str] | None = None
    max_length: Annotated[int, Field(ge=3, le=1 << 31)] | None = None
    columns: dict[str, str] | None = None


class _Graph(_File):
    """A graph that an export lists."""

    name: _Name
    file: _Name
    kind: str


class _Runtime(_File):
    """The graph that was fastest on a machine."""

    name: str | None = None
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None


class ExportFile(_File):
    """export.json: the graphs of an exported folder."""

    candidates: Annotated[list[_Graph], Field(min_length=1)]
    default: str
    runtime: _Runtime | None = None


class WeightIndexFile(_File):
    """model.safetensors.index.json: which part of the weights lies in which file."""

    weight_map: Annotated[dict[str, _Name], Field(min_length=1)]


class _Token(_File):
    """A special token that is written as an object."""

    content: str


_AnyToken = str | _Token | None


class TokenizerConfigFile(_File):
    """tokenizer_config.json, or special_tokens_map.json."""

    tokenizer_class: str | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    keep_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    add_prefix_space: bool | None = None
    model_max_length: int | float | None = None
    pad_token: _AnyToken = None
    unk_token: _AnyToken = None
    cls_token: _AnyToken = None
    sep_token: _AnyToken = None
    mask_token: _AnyToken = None


def read_shape(
    path: Path, kind: type[BaseModel], error: type[DestilaError], *, remedy: str
) -> dict[str, Any]:
    """Return the object in a JSON file that has a shape.

    Raises:
        DestilaError: of the kind `error`: the file is no JSON object, or a key has another kind.
    """
    content = read_json_object(path, error, remedy=remedy)
    fitted(kind, content, str(path), error, remedy=remedy)
    return content


def fitted(
    kind: type[F], value: Any, where: str, error: type[DestilaError], *, remedy: str = ""
) -> F:
    """Return a value as a pydantic model.

    Args:
        kind: the model.
        value: an object.
        where: what holds it, for the error.
        error: raised where it does not fit.
        remedy: the end of the error.

    Raises:
        DestilaError: of the kind `error`; it names the key, its value and what is expected.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        raise error(f"{where}: {_describe_fault(first)}{remedy and f': {remedy}'}") from fault


def _describe_fault(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a key in our words."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"key '{key}' is missing"
    if fault["type"] == "string_pattern_mismatch":
        return f"key '{key}' = {short_value(fault['input'])} is not the plain name of a file"
    message = str(fault["msg"])
    return f"key '{key}' = {short_value(fault['input'])}: {message[:1].lower()}{message[1:]}"
