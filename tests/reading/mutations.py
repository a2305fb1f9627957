"""Inputs near valid ones, for the fuzz targets: a file with bytes changed, JSON with values exchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

ODD = [
    *(None, True, False, -1, 0, 1, 3.5, 10**12, 2**31, 2**63, -(10**30), 1e308, "", "x", "²", "٣"),
    *(
        "..",
        "../x",
        "a/b",
        "a\0b",
        "\x1b[2J",
        "[/red]",
        "Ñ" * 300,
        [],
        {},
        [[]],
        [None],
        {"": None},
    ),
    *({"a": 1}, ["a", 1], [[1, 2], [3]], [{"a": []}], "1" * 400),
]
"""Values that a key of a file should not always hold."""

RAW = [
    *(b"[" * 3000, b"9" * 5000, b"NaN", b"-Infinity", b"1e999", b'"\\ud83d"', b"\x00", b"\xff\xfe"),
    *(
        b"\xef\xbb\xbf",
        b"\xf1",
        b"\n\n",
        b"\t",
        b'"',
        b"\\",
        b"}",
        b"]",
        b",",
        b":",
        b"=",
        b"\r",
        b"\x1b",
    ),
    *(
        b"\xf0\x9f\x98\x80",
        b"\x80" * 12,
        b"A" * 2000,
        b"##",
        b"# ",
        b"1-2",
        b"8.1",
        b"\xe2\x80\xa8",
    ),
]
"""Bytes that are put into a file."""


@st.composite
def changed_bytes(draw: Any, files: list[bytes]) -> bytes:
    """Draw a file with up to five stretches cut, doubled, or exchanged."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, max(0, len(data))))
        length = draw(st.sampled_from([0, 1, 1, 2, 4, 16, 200]))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[start : start + length] = draw(st.sampled_from(RAW))
        elif kind == 1:
            data[start : start + length] = b""
        elif kind == 2:
            data[start:start] = data[start : start + length]
        else:
            data[start : start + length] = draw(st.binary(max_size=8))
    return bytes(data)


@st.composite
def changed_json(draw: Any, values: Sequence[Any]) -> bytes:
    """Draw JSON in which up to three values, at any depth, are exchanged, dropped or renamed."""
    value = json.loads(json.dumps(draw(st.sampled_from(values))))
    for _ in range(draw(st.integers(1, 3))):
        value = _changed(draw, value)
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def _changed(draw: Any, value: Any) -> Any:
    """Exchange one value: here, or in one of the containers below."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else list(range(len(value)))
        if isinstance(value, list)
        else []
    )
    if not keys or draw(st.integers(0, 9)) == 0:
        return deepcopy(draw(st.sampled_from(ODD)))  # it may be changed in turn
    key = draw(st.sampled_from(keys[:40]))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        value[draw(st.sampled_from(["", "²", "x", "0", "\x00"]))] = value.pop(key)
    else:
        value[key] = _changed(draw, value[key])
    return value
