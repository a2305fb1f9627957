"""Raw text cleaned line by line, as the Spanish Unannotated Corpora (SUC) were, in their order.

Lower case, web addresses deleted, a leading list mark deleted, blanks collapsed, lines that became
empty dropped. The published address rule (`published_urls`) takes any run of address characters
with a dot before two to six letters, so it also swallows `fin.Luego` where the blank after a full
stop is missing; ours asks for a scheme, `www.`, an `@`, or a host under a name that is no Spanish
word.
"""

from __future__ import annotations

import re
from typing import Literal

from destila.config import Options, opt

# The published rule, tried at the start of a run of its characters alone: it takes all of a run or
# nothing.
_PUBLISHED = re.compile(
    r"(?<![a-zA-Z0-9./?:@\-_=#])(?:https?://)?"
    r"[a-zA-Z0-9./?:@\-_=#]+\.[a-zA-Z]{2,6}[a-zA-Z0-9./?:@\-_=#]*"
)
# The mark at the end of an address belongs to the sentence.
_TAIL = r"[^\s<>«»“”\"]*[^\s<>«»“”\".,;:!?¡¿)\]…'’]"
_ADDRESS = re.compile(
    rf"""
    (?:https?://|\bwww\.){_TAIL}
  | [\w.+-]{{1,64}}@[\w-]+(?:\.\w[\w-]*)+                                    # mail
  | \b[a-zA-Z0-9](?:[a-zA-Z0-9.-]{{0,62}}[a-zA-Z0-9])?\.(?:
        (?:com|org|net|edu|gob|gov|info)(?:\.[a-zA-Z]{{2}})?(?![\w-])(?:/(?:{_TAIL})?)?
      | [a-zA-Z]{{2}}/{_TAIL}
    )
    """,
    re.VERBOSE,
)
_HINT = re.compile(r"://|www\.|@|\.(?:com|org|net|edu|gob|gov|info|[a-zA-Z]{2}/)")
_LIST_MARK = re.compile(r"^(?:[a-z]|\d{1,3})?[-.]+(?:\s|$)")


class Clean(Options):
    """How raw lines are cleaned."""

    preset: Literal["suc", "none"] = opt("suc", "suc: as the published corpus; none: blanks only")
    lowercase: bool = opt(False, "turn capitals into small letters, as the published corpus did")
    published_urls: bool = opt(False, "the published address rule, which also deletes 'fin.Luego'")


def clean_lines(lines: list[str], options: Clean) -> list[str]:
    """Clean the lines of one document, and leave out those that have no text then.

    NUL never gets here: `documents` drops it.
    """
    cleaned = [clean_line(line, options) for line in lines]
    return [line for line in cleaned if line]


def clean_line(line: str, options: Clean) -> str:
    """Clean one line; it is empty when nothing is left of it."""
    if options.lowercase:
        line = line.lower()
    if options.preset == "none":
        return " ".join(line.split())

    if options.published_urls:
        line = _PUBLISHED.sub("", line)
    elif _HINT.search(line):
        line = _ADDRESS.sub("", line)

    # A list mark is of small letters only, as after the published lower-casing: an initial
    # (`A. Machado`) is none.
    line = _LIST_MARK.sub("", line)
    return " ".join(line.split())
