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


def string_of(row: Mapping[str, Any], key: str, number: int) -> str:
    """Return the string under a key.

    Args:
        row: a user's row.
        key: of the string.
        number: the row's position, from 0; messages count from 1.

    Raises:
        DataError: there is no string under the key.
    """
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"text {number + 1} has no string under '{key}': {shown(row)}")
    return value


def shown(row: Mapping[str, Any]) -> str:
    """Write the beginning of a row as JSON, for an error message."""
    return json.dumps(row, ensure_ascii=False)[:_SHOWN]
