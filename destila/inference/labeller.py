"""A model folder as a function from texts to objects, for `destila.load` and `destila predict`.

A folder of `destila export` is run without torch, any other with it. What is imported here is all
that a new process waits for before its first answer: neither torch nor pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from destila import hub
from destila.errors import require
from destila.inference.exported import is_exported
from destila.inference.predictor import Predictor, RuntimePredictor
from destila.model_folder import FolderInfo, read_folder
from destila.results import Result
from destila.tasks import task_of_folder

TEXTS_AT_ONCE = 256
"""Texts read before they are labelled: memory stays constant whatever the size of the input."""


class Labeller:
    """A loaded model folder that labels texts.

    Args:
        folder: model folder or hub name.
        threads: of an exported model; None: as many as this process may keep busy.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        path = hub.resolve(folder)
        self.predictor: Predictor
        if is_exported(path):
            self.predictor = RuntimePredictor(path, threads=threads)
        else:
            self.predictor = _load_torch(read_folder(path))

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.predictor.labels

    def answers(self, texts: Iterable[str | dict[str, Any]], *, first: int = 0) -> Iterator[Result]:
        """Yield what the model says of each text, in order, read lazily.

        Args:
            texts: strings, or dicts with `text` (or `words`) and optionally `id` and `pair`.
            first: number of the first text, which its id and error messages go by.
        """
        source, task = iter(texts), self.predictor.task
        number = first
        while chunk := list(islice(source, TEXTS_AT_ONCE)):
            # A faulty row is named by its number before any of its chunk is labelled.
            rows = [{"text": item} if isinstance(item, str) else item for item in chunk]
            examples = [task.read_row(row, i) for i, row in enumerate(rows, number)]
            number += len(chunk)

            predictions = self.predictor.predict(examples)
            for example, prediction in zip(examples, predictions, strict=True):
                yield task.to_result(example, prediction, self.labels)


def _load_torch(info: FolderInfo) -> Predictor:
    """Return the Predictor of a folder with weights; raise MissingExtraError without torch."""
    _, labels = info.head()
    require("torch", "train")
    # Only now: torch takes seconds to import, and exports do without.
    from destila.models import hf
    from destila.training.predict import TorchPredictor

    loaded = hf.load(info.path, head_required=True)
    longest = int(info.extra.get("max_length", loaded.max_length))
    task = task_of_folder(info)
    return TorchPredictor(loaded.model, loaded.tokenizer, task, labels, max_length=longest)
