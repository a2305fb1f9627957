"""The same texts in CAPITALS and in lower case, as headlines, forms and messages are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from destila.types import Example

CASES: dict[str, Callable[[str], str]] = {"capitals": str.upper, "lower_case": str.lower}
"""How texts are written beside their own way, by the name of the score on them."""


def change_case(examples: Sequence[Example], case: str) -> list[Example]:
    """Return examples in capitals or in lower case, with their words and labels in place.

    Every character stays one character: what would become two (ß, İ) stays as it is.

    Args:
        examples: any, whose spans of words stay true.
        case: of CASES.
    """
    change = CASES[case]
    return [replace(example, text=_change(example.text, change)) for example in examples]


def _change(text: str, change: Callable[[str], str]) -> str:
    changed = change(text)
    if len(changed) == len(text):
        return changed
    return "".join(new if len(new := change(c)) == 1 else c for c in text)
