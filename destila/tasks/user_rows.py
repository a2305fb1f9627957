"""Rows of a user, the objects that `destila predict` and the API are given, read with errors that show the row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from destila.errors import DataError

_SHOWN = 80
"""Characters of a row that an error message repeats."""


def string_of(row: Mapping[str, Any], key: str, number: int) -> str:
    """Return the string under a key; raise DataError when there is none, counting rows from `number` + 1."""
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"text {number + 1} has no string under '{key}': {shown(row)}")
    return value


def shown(row: Mapping[str, Any]) -> str:
    """Write the beginning of a row as JSON, for an error message."""
    return json.dumps(row, ensure_ascii=False)[:_SHOWN]
