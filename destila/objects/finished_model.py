"""A finished model as an object: texts in, typed results out.

What is imported at the top is all that a first answer waits for: neither torch nor pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, overload

from destila import hub
from destila.inference.labeller import Labeller
from destila.objects.text_rows import TextRow, is_one, text_rows
from destila.results import Result


class FinishedModel:
    """A finished model, as `destila.load` opens it.

    Args:
        folder: model folder or hub name.
        threads: of an exported model; None: as many as this process may keep busy.

    Attributes:
        folder: of the model.
        labeller: what answers.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        self.folder = hub.resolve(folder)
        self.labeller = Labeller(self.folder, threads=threads)

    def __repr__(self) -> str:
        return f"FinishedModel({str(self.folder)!r}: {self.task}, {len(self.labels)} labels)"

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.labeller.labels

    @property
    def task(self) -> str:
        """Name of what it does: "classify", "tag", "span"."""
        return self.labeller.predictor.task.name

    @overload
    def predict(
        self, texts: str | Mapping[str, Any], *, text: str | None = None, pair: str | None = None
    ) -> Result: ...

    @overload
    def predict(
        self, texts: Iterator[TextRow], *, text: str | None = None, pair: str | None = None
    ) -> Iterator[Result]: ...

    @overload
    def predict(
        self, texts: Iterable[Any], *, text: str | None = None, pair: str | None = None
    ) -> list[Result]: ...

    def predict(
        self,
        texts: TextRow | Iterable[Any],
        *,
        text: str | None = None,
        pair: str | None = None,
    ) -> Result | list[Result] | Iterator[Result]:
        """Label one text, or many: an object for a text, a list for a list.

        An iterator is answered by an iterator, which reads on as it is read: a file of any size
        takes constant memory.

        Args:
            texts: a string or an object with `text` (also `pair`; `words`; `question` and
                `context`), a list of them, a column or a frame of pandas or polars, a Dataset.
            text: column of the text in a frame; None: "text".
            pair: column of the second text in a frame; None: "pair", where there is one.

        Raises:
            DataError: something is no text.
        """
        columns = {"text": text, "pair": pair}
        if is_one(texts):
            return next(self.labeller.answers(text_rows([texts], columns)))
        answers = self.labeller.answers(text_rows(texts, columns))

        # What has no length may have no end.
        return list(answers) if hasattr(texts, "__len__") else answers
