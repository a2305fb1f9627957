"""Texts to measure on: the first of a user's file, a sample spread over many, a file of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from destila.errors import DataError
from destila.files import open_text
from destila.inference.user_texts import is_jsonl, read_texts
from destila.tokenizer.split_words import split_words
from destila.types import Example

_T = TypeVar("_T")

_READ = 5000
"""Lines of a text file that the timed ones are taken from."""


def texts_of(path: str, *, pairs: bool) -> list[Example]:
    """Return the first texts of a file as `predict` reads it: without labels, with words.

    Args:
        path: of the file.
        pairs: a tab parts text and pair, for tasks that read two.

    Raises:
        DataError: a row has no text.
    """
    lines = open_text(path)
    rows = islice(read_texts(lines, jsonl=is_jsonl(path), where=path, pairs=pairs), _READ)

    # A question and its context are a text and its pair.
    examples = []
    for number, row in enumerate(rows):
        fields = {"text": row} if isinstance(row, str) else row
        text = fields.get("question", fields.get("text"))
        pair = fields.get("context", fields.get("pair"))
        if not isinstance(text, str):
            raise DataError(f"{path}: text {number + 1} has no string under 'text'")
        examples.append(Example(str(number), text, pair, split_words(text)))
    return examples


def spread(items: Sequence[_T], count: int) -> list[_T]:
    """Return up to `count` items evenly spaced, so that a file sorted by topic is seen whole."""
    if count >= len(items):
        return list(items)
    if count <= 0:
        return []
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count)]


@contextmanager
def text_file(examples: Sequence[Example]) -> Iterator[Path]:
    """Yield a JSONL file of the examples' texts that `destila predict` reads; then remove it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for example in examples:
                row = {"id": example.id, "text": example.text}
                if example.pair is not None:
                    row["pair"] = example.pair
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        yield path
