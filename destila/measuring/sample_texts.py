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
from destila.inference.items import columns_of, rename_columns, whole_row
from destila.inference.user_texts import read_file
from destila.model_folder import read_folder
from destila.tokenizer.split_words import split_words
from destila.types import Example, Task

_T = TypeVar("_T")

_READ = 5000
"""Lines of a text file that the timed ones are taken from."""


def texts_of(path: str, task: Task, model: str | Path = "") -> list[Example]:
    """Return the first texts of a file as `predict` reads it: without labels, with words.

    Blank ones, and those that cannot be read, are left out.

    Args:
        path: of the file.
        task: what it is read for.
        model: whose training data the columns of a table are called like, where it is a folder.

    Raises:
        DataError: no text is left.
    """
    is_folder = bool(model) and Path(model).is_dir()
    columns = columns_of(read_folder(model).extra) if is_folder else {}
    examples, faults = [], []
    for number, item in enumerate(islice(read_file(path, task, columns), _READ)):
        row = rename_columns(whole_row(item.row), columns)
        try:
            if item.fault:
                raise DataError(item.fault)
            example = task.read_row(row, number)
        except DataError as error:
            faults.append(f"{item.place}: {error}")
            continue
        if example.text.strip():
            words = example.words or split_words(example.text)
            examples.append(Example(example.id, example.text, example.pair, words))

    if not examples:
        why = faults[0] if faults else "every line is blank"
        raise DataError(f"{path} has no text that can be read ({why}): give a file of texts")
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
