"""Text of strangers as it is shown: on a terminal, in Markdown, in an error.

A label, a file's name or a column may hold what a terminal takes for a command (colours, titles,
links, text from right to left) or a viewer for markup. Here it becomes what it looks like.
"""

from __future__ import annotations

import re
from typing import Any

# Controls, halves of pairs, lines and paragraphs, and marks that turn the direction of a text;
# tabs and line ends are left, because paragraphs of ours have them.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~!$])")
_LONGEST = 80
"""Characters of a value in an error."""


def plain(text: str) -> str:
    r"""Return a text for a terminal: a control character is shown, as `\x1b`, and not obeyed."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(_code, text)


def escaped_json(text: str) -> str:
    r"""Return a line of JSON in which a terminal has nothing to obey; it means the same."""
    return text if text.isascii() else _CONTROLS.sub(_json_code, text)


def markdown(text: str) -> str:
    """Return a text for Markdown, where no character of it is markup and it stays on one line."""
    text = " ".join(plain(text).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


def short_value(value: Any) -> str:
    """Return a value as an error shows it: as Python writes it, cut where it is long."""
    # Only the head of a long text or list is written at all.
    if isinstance(value, str | bytes):
        text = repr(value[:_LONGEST])
        return f"{text}..." if len(value) > _LONGEST else text
    if isinstance(value, list | tuple | dict) and len(value) > _LONGEST:
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, int) and value.bit_length() > 1000:
        return "a number of over 300 digits"
    text = repr(value)
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}..."


def _code(match: re.Match[str]) -> str:
    r"""Return a character as Python writes it: `\x1b`, `\u202e`."""
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def _json_code(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
