"""What the JSON files of a model folder must look like, and one check of them all.

A shape is written as the file is: `str` and the other types stand for a value of that type, a list
for a list of such values, a dictionary for an object, `Keyed` for an object whose keys are data, a
tuple for one of several. Keys that no shape names may hold anything, a key may be missing or null
unless it is `Needed`, and numbers that decide how much memory is taken have limits. A file is
checked and then used as it is. No pydantic here: a first prediction does not wait for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila.cpu import MOST_THREADS
from destila.errors import DestilaError
from destila.reading.escaping import short_value
from destila.reading.values import read_json_object

MOST_LAYERS = 512
"""Of an encoder; the deepest that are published have under a hundred."""

MOST_PIECES = 1 << 24
"""Of a vocabulary; published ones have a million at most."""

_MOST = 1 << 31
_FILE_NAME = re.compile(r"\w[\w. +=@,()-]{0,199}")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within limits."""

    least: int = 0
    most: int = _MOST


@dataclass(frozen=True, slots=True)
class Keyed:
    """An object whose keys are data, such as labels; every value has one shape."""

    value: Any


@dataclass(frozen=True, slots=True)
class Needed:
    """What a key must hold, so that it cannot be missing."""

    value: Any


class BesideName:
    """The name of a file beside the one that names it: no separator, no `..`, nothing hidden."""


_LAYER_KEYS = (
    *("num_hidden_layers", "num_hidden_groups", "num_layers", "n_layers", "n_layer"),
    *("encoder_layers", "decoder_layers", "num_decoder_layers"),
)
Label = (str, int, float, bool)
_TOKEN = (str, {"content": Needed(str)})

MODEL_CONFIG_FILE = {
    "architectures": [str],
    "model_type": str,
    "problem_type": str,
    "id2label": Keyed(Label),
    "hidden_act": str,
    "activation": str,
    "is_decoder": bool,
    "max_position_embeddings": Whole(0, MOST_PIECES),
    **{key: Whole(0, MOST_LAYERS) for key in _LAYER_KEYS},
    "num_attention_heads": Whole(0, 1 << 16),
    "hidden_size": Whole(0, 1 << 18),
    "intermediate_size": Whole(0, 1 << 20),
    "vocab_size": Whole(0, MOST_PIECES),
}
"""config.json, as far as it is read without the model's own reader.

What decides how much memory a model takes has a limit, also for models that transformers builds.
"""

DESTILA_FILE = {
    "task": str,
    "labels": [str],
    "max_length": Whole(3),
    "columns": Keyed(str),
    "label_threshold": float,
}
"""destila.json: what a config.json has no place for."""

EXPORT_FILE = {
    "candidates": Needed([{"name": Needed(str), "file": Needed(BesideName), "kind": Needed(str)}]),
    "default": Needed(str),
    "runtime": {"name": str, "threads": Whole(1, MOST_THREADS)},
}
"""export.json: the graphs of an exported folder."""

WEIGHT_INDEX_FILE = {"weight_map": Needed(Keyed(BesideName))}
"""model.safetensors.index.json: which part of the weights lies in which file."""

TOKENIZER_CONFIG_FILE = {
    "tokenizer_class": str,
    "do_lower_case": bool,
    "strip_accents": bool,
    "keep_accents": bool,
    "tokenize_chinese_chars": bool,
    "add_prefix_space": bool,
    "model_max_length": float,
    **{f"{role}_token": _TOKEN for role in ("pad", "unk", "cls", "sep", "mask")},
}
"""tokenizer_config.json, or special_tokens_map.json."""


def read_shape(
    path: Path, shape: dict[str, Any], error: type[DestilaError], *, remedy: str
) -> dict[str, Any]:
    """Return the object in a JSON file that has a shape.

    Raises:
        DestilaError: of the kind `error`: the file is no JSON object, or a key has another kind.
    """
    content = read_json_object(path, error, remedy=remedy)
    check_shape(content, shape, str(path), error, remedy=remedy)
    return content


def check_shape(
    value: Any, shape: Any, where: str, error: type[DestilaError], *, remedy: str
) -> None:
    """Check a value of JSON against a shape.

    Args:
        value: as `parse_json` returns it.
        shape: see the head of this file.
        where: what holds the value, for the error.
        error: raised where it does not fit.
        remedy: the end of the error.

    Raises:
        DestilaError: of the kind `error`; it names the key, its value and what is expected.
    """
    fault = _fault(value, shape, "")
    if fault:
        raise error(f"{where}: {fault}: {remedy}")


def _fault(value: Any, shape: Any, key: str) -> str:
    """Return what is wrong with a value, "" where it fits."""
    if isinstance(shape, tuple):
        return (
            "" if any(not _fault(value, each, key) for each in shape) else _said(value, shape, key)
        )
    if isinstance(shape, dict) and isinstance(value, dict):
        return _fault_of_object(value, shape, key)

    # A value of another kind than the shape's, or one outside of its limits.
    if not _fits(value, shape):
        return _said(value, shape, key)
    inner: list[tuple[Any, Any]] = []
    if isinstance(shape, list):
        inner = list(enumerate(value))
    elif isinstance(shape, Keyed):
        inner = list(value.items())
    of = shape.value if isinstance(shape, Keyed) else shape[0] if inner else None
    faults = (_fault(each, of, f"{key}.{place}") for place, each in inner)
    return next(filter(None, faults), "")


def _fault_of_object(value: dict[str, Any], shape: dict[str, Any], key: str) -> str:
    """Return what is wrong with the keys of an object, "" where they fit."""
    for name, expected in shape.items():
        place, given = f"{key}.{name}".removeprefix("."), value.get(name)
        needed = isinstance(expected, Needed)
        if given is None and needed:
            return f"key '{place}' is missing"
        if given is not None:
            fault = _fault(given, expected.value if needed else expected, place)
            if fault:
                return fault
    return ""


def _fits(value: Any, shape: Any) -> bool:
    """Tell whether a value has the kind of a shape, whatever it holds inside."""
    if isinstance(shape, Whole):
        return type(value) is int and shape.least <= value <= shape.most
    if shape is BesideName:
        return isinstance(value, str) and _FILE_NAME.fullmatch(value) is not None
    if isinstance(shape, list):
        return isinstance(value, list)
    if isinstance(shape, dict | Keyed):
        return isinstance(value, dict)
    if shape is float:
        return type(value) in (int, float)
    return type(value) is shape


def _said(value: Any, shape: Any, key: str) -> str:
    return f"key '{key}' = {short_value(value)} must be {_kind(shape)}"


def _kind(shape: Any) -> str:
    """Return what a shape expects, in words."""
    if isinstance(shape, tuple):
        return " or ".join(map(_kind, shape))
    if isinstance(shape, Whole):
        return f"a whole number from {shape.least:,} to {shape.most:,}"
    if isinstance(shape, list):
        return f"a list of {_kind(shape[0])}"
    if isinstance(shape, dict | Keyed):
        return "an object"
    words = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(shape, "the plain name of a file in that folder")
