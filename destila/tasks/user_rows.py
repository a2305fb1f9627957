"""Rows of a user, read with errors that show the row.

A row is an object that `destila predict` or the API is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from destila.errors import DataError

_SHOWN = 80
"""Characters of a row that an error message repeats."""


def row_name(row: Mapping[str, Any], number: int) -> str:
    """Return the `id` of a user's row, its number where it has none."""
    name = row.get("id")
    return str(number if name is None else name)


def string_of(row: Mapping[str, Any], key: str) -> str:
    """Return the string under a key of a user's row; raise DataError when there is none."""
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"no string under '{key}': {shown(row)}")
    return value


def shown(row: Mapping[str, Any]) -> str:
    """Write the beginning of a row as JSON, for an error message."""
    return json.dumps(row, ensure_ascii=False, default=str)[:_SHOWN]
