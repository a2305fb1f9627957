"""A model folder as a function from texts to objects: what `destila.load` gives, and `destila predict` uses.

A folder of `destila export` is run without torch, any other with it. What is imported here is all that a new process
waits for before its first answer: neither torch nor pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from destila import hub
from destila.errors import DataError, require
from destila.inference.exported import is_exported
from destila.inference.predictor import RuntimePredictor
from destila.model_folder import FolderInfo, read_folder
from destila.tasks.decode import as_json
from destila.tasks.readers import ClassifyReader, reader
from destila.tokenizer.split_words import split_words
from destila.types import Example, Predictor

CHUNK = 256
"""Texts read before they are labelled: memory stays constant whatever the size of the input."""

_SPAN = "span"
PAIRED = (ClassifyReader.name, _SPAN)
"""Tasks whose texts may have a second part."""


class Labeller:
    """A loaded model folder that labels texts."""

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        path = hub.resolve(folder)
        self.predictor: Predictor = (
            RuntimePredictor(path, threads=threads)
            if is_exported(path)
            else _torch(read_folder(path))
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.predictor.labels

    def predict(
        self, texts: Iterable[str | dict[str, Any]], *, first: int = 0
    ) -> Iterator[dict[str, Any]]:
        """One object per text (see docs/reference/json.md), in order, read lazily.

        texts: strings, or dicts with `text` (or `words`) and optionally `id` and `pair`. first: number of the first
        text, which its id and error messages go by.
        """
        source = iter(texts)
        seen = first
        while chunk := list(islice(source, CHUNK)):
            examples = [self._example(item, seen + i) for i, item in enumerate(chunk)]
            seen += len(chunk)
            predictions = self.predictor.predict(examples)
            for example, prediction in zip(examples, predictions, strict=True):
                yield as_json(example, prediction, self.labels, self.predictor.task)

    def _example(self, item: str | dict[str, Any], number: int) -> Example:
        row = {"text": item} if isinstance(item, str) else item
        name = str(row.get("id", number))
        if self.predictor.task == _SPAN:
            question = _string(
                row, "text" if "text" in row and "question" not in row else "question", number
            )
            return Example(
                name, question, _string(row, "pair" if "pair" in row else "context", number)
            )
        if self.predictor.task == ClassifyReader.name:
            return Example(
                name,
                _string(row, "text", number),
                _string(row, "pair", number) if row.get("pair") is not None else None,
            )
        if "words" not in row:
            text = _string(row, "text", number)
            return Example(name, text, words=split_words(text))
        words = row["words"]
        if not isinstance(words, list) or not all(isinstance(w, str) and w.strip() for w in words):
            raise DataError(f"text {number + 1}: `words` must be a list of words: {_shown(row)}")
        ends = [sum(len(w) + 1 for w in words[: i + 1]) - 1 for i in range(len(words))]
        return Example(
            name,
            " ".join(words),
            words=tuple((e - len(w), e) for w, e in zip(words, ends, strict=True)),
        )


def _torch(info: FolderInfo) -> Predictor:
    """The Predictor of a folder with weights; raises MissingExtraError without torch."""
    name, labels = info.head()
    require("torch", "train")
    from destila.models import hf
    from destila.training.predict import TorchPredictor

    loaded = hf.load(info.path, head_required=True)
    longest = int(info.extra.get("max_length", loaded.max_length))
    task = reader(name, info.extra.get(name))
    return TorchPredictor(loaded.model, loaded.tokenizer, task, labels, max_length=longest)


def _string(row: dict[str, Any], key: str, number: int) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"text {number + 1} has no string under '{key}': {_shown(row)}")
    return value


def _shown(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)[:80]
