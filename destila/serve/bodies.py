"""What a client may send: read with limits, checked, and refused with the reason.

JSON of a stranger may be nested a million levels deep, hold integers of a million digits or half an
emoji. Whatever is wrong with it becomes one `RefusedError` with a status and a sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from destila.inference.items import whole_text
from destila.reading.values import parse_json
from destila.serve.turns import Item, characters

PARTS = ("id", "text", "pair", "words", "question", "context")
"""Keys of an object that stands for one text."""


class RefusedError(Exception):
    """Refuse a request: HTTP status, and what is wrong in one sentence."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for.

    body_bytes: of a request, or of a line of a stream. texts: in one request. characters: of one
    text, all its parts together. seconds: until a request is answered or given up.
    """

    body_bytes: int = 1 << 20
    texts: int = 256
    characters: int = 100_000
    seconds: float = 60.0


async def read_body(chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    """Read a body of bounded size, in bounded time.

    Raises:
        RefusedError: 413 when it is longer than the limit, 408 when it takes too long.

    """
    # The size is checked while reading: a declared length may be wrong or missing.
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in chunks:
                body += chunk
                if len(body) > limits.body_bytes:
                    raise RefusedError(413, f"the body is longer than {limits.body_bytes} bytes")
    except TimeoutError:
        raise RefusedError(408, f"no whole body within {limits.seconds:g} seconds") from None
    return bytes(body)


async def read_lines(
    chunks: AsyncIterator[bytes], limits: Limits, stopping: asyncio.Event
) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a stream as they come, none longer than the limit, without blank ones.

    Raises:
        RefusedError: 413 when a line is longer than the limit, 408 when none comes for too long,
            503 when the server stops.

    """
    # A chunk of the network ends anywhere, so its last line waits for the next one.
    rest = bytearray()
    while (chunk := await _next_chunk(chunks, limits, stopping)) is not None:
        rest += chunk
        *lines, tail = rest.split(b"\n")
        rest = bytearray(tail)
        # Also the unfinished line is bounded, or one without an end would fill the memory.
        if max(map(len, [*lines, rest])) > limits.body_bytes:
            raise RefusedError(413, f"a line is longer than {limits.body_bytes} bytes")
        yield [bytes(line) for line in lines if line.strip()]
    # The last line may lack its newline.
    if rest.strip():
        yield [bytes(rest)]


async def _next_chunk(
    chunks: AsyncIterator[bytes], limits: Limits, stopping: asyncio.Event
) -> bytes | None:
    """Wait for what the client sends next; None at its end."""
    reading = asyncio.ensure_future(anext(chunks, None))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait(
            {reading, stopped}, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if reading.done():
            return reading.result()
    finally:
        reading.cancel()
        stopped.cancel()
    if stopping.is_set():
        raise RefusedError(503, "the server stops: send the lines without an answer again")
    raise RefusedError(408, f"no line within {limits.seconds:g} seconds")


def parse(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        RefusedError: 400 when it is not JSON in UTF-8, or too deep, or holds an endless integer.

    """
    try:
        return parse_json(body.decode("utf-8"))
    except ValueError as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from None


def check_items(value: Any, limits: Limits) -> list[Item]:
    """Return the texts of a request's value: one object or string, or a list of them.

    Raises:
        RefusedError: 422 for anything else, for too many texts, and for one that is too long.

    """
    # One text goes the way of a list, so that both are checked alike.
    values = value if isinstance(value, list) else [value]
    if not values:
        raise RefusedError(422, "the list of texts is empty")
    if len(values) > limits.texts:
        raise RefusedError(
            422,
            f"{len(values)} texts in one request, at most {limits.texts}: use the stream, "
            "or several requests",
        )
    return [check_item(each, number, limits) for number, each in enumerate(values)]


def check_item(value: Any, number: int, limits: Limits) -> Item:
    """Return one text, its strings made whole.

    Args:
        value: a string, or an object with the keys of `PARTS`.
        number: of the text, from 0; messages count from 1.
        limits: the longest text.

    Raises:
        RefusedError: 422 when it is no such thing, or too long.

    """
    # A string is short for an object with nothing but a text.
    if isinstance(value, str):
        parts: dict[str, Any] = {"text": value}
    elif isinstance(value, dict):
        parts = value
    else:
        raise RefusedError(
            422, f"text {number + 1} is {describe_value(value)}: send a string or an object"
        )

    # A misspelt key would else be ignored, and the answer silently be another one.
    unknown = [key for key in parts if key not in PARTS]
    if unknown:
        known = ", ".join(PARTS)
        raise RefusedError(422, f"text {number + 1} has the key '{unknown[0]}': known are {known}")

    # All parts count together: a model reads a pair as one text.
    clean = {key: clean_part(part, key, number) for key, part in parts.items()}
    length = characters(clean)
    if length > limits.characters:
        raise RefusedError(
            422, f"text {number + 1} has {length} characters, at most {limits.characters}"
        )
    return clean


def clean_part(part: Any, key: str, number: int) -> str | list[str]:
    """Return a part of a text as whole characters: half an emoji is replaced.

    Raises:
        RefusedError: 422 when it is not a string (for `words`, not a list of strings).

    """
    # Numbers are common as ids; answers name them as strings. A boolean is an int to Python.
    if key == "id" and isinstance(part, int) and not isinstance(part, bool):
        return str(part)
    # Words are the one part that is a list.
    if key == "words":
        if isinstance(part, list) and all(isinstance(word, str) for word in part):
            return [whole_text(word) for word in part]
        raise RefusedError(422, f"text {number + 1}: `words` is not a list of strings")
    if not isinstance(part, str):
        raise RefusedError(
            422, f"text {number + 1}: '{key}' is {describe_value(part)}, not a string"
        )
    return whole_text(part)


def describe_value(value: Any) -> str:
    """Name the JSON type of a value for a message."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
    names |= {list: "a list", dict: "an object", str: "a string"}
    return names.get(type(value), type(value).__name__)
