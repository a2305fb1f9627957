"""What a document must have to stay: words, Spanish ones among them, letters, lines that differ.

A share of function words tells the language as well as a classifier on texts of some length, and
needs no model: running Spanish has 0.4 and more, Portuguese and Catalan share some of the words,
English next to none.
"""

from __future__ import annotations

import string

from destila.config import Options, opt

_FUNCTION_LIST = """
a al algo ante antes así aunque cada como con contra cual cuando de del desde donde dos e el él
ella ellas ellos en entre era es esa ese eso esta está este esto estos fue ha han hasta hay la las
le les lo los más me mi mientras mucho muy nada ni no nos o otra otro para pero poco por porque
pues que qué quien se según ser si sí sin sino sobre son su sus también tan te tiene toda todo
todos tras tu tú un una uno unos y ya yo
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_LIST.split())
# Letters, bytes of letters beyond ASCII, and blanks.
_LETTERS = string.ascii_letters.encode() + bytes(range(128, 256)) + string.whitespace.encode()


class Filters(Options):
    """The least that a document must have; 0 (for repeated lines: 1) switches a filter off."""

    min_words: int = opt(10, "words, between blanks", ge=0)
    min_function_words: float = opt(
        0.2, "share of Spanish function words among the words", ge=0, le=1
    )
    min_letters: float = opt(
        0.7, "share of letters among characters; marks beyond ASCII count as letters", ge=0, le=1
    )
    max_repeated_lines: float = opt(
        0.3, "share of lines that stood earlier in the document", ge=0, le=1
    )


REASONS = ("short", "foreign", "few_letters", "repeated_lines")


def reason_to_drop(lines: list[str], options: Filters) -> str | None:
    """Name why a document is left out, one of `REASONS`; None when it stays."""
    text = " ".join(lines)
    words = text.lower().split()
    if len(words) < options.min_words or not words:
        return "short"

    # What is left after deleting letters and blanks are figures and signs.
    signs = len(text.encode("utf-8", "replace").translate(None, _LETTERS))
    if 1 - signs / (len(text) - len(words) + 1) < options.min_letters:
        return "few_letters"

    function_words = sum(map(_FUNCTION_WORDS.__contains__, words))
    if function_words < options.min_function_words * len(words):
        return "foreign"

    repeated = len(lines) - len(set(lines))
    if repeated > options.max_repeated_lines * len(lines):
        return "repeated_lines"
    return None
