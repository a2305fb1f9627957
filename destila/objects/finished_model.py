"""A finished model as an object: texts in, typed results out.

What is imported at the top is all that a first answer waits for: neither torch nor pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from destila import hub
from destila.inference.labeller import Labeller
from destila.objects.text_rows import TextRow, is_one, text_rows
from destila.results import Result

if TYPE_CHECKING:
    from destila.records import Record


class FinishedModel:
    """A finished model, as `destila.load` opens it.

    Args:
        folder: model folder or hub name.
        threads: of an exported model; None: as many as this process may keep busy.
        record: of its test, which its card tells; None: the card says that there is none.

    Attributes:
        folder: of the model.
        labeller: what answers.
    """

    def __init__(
        self, folder: str | Path, *, threads: int | None = None, record: Record | None = None
    ) -> None:
        self.folder, self.record = hub.resolve(folder), record
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
        self,
        texts: str | Mapping[str, Any],
        *,
        text: str | None = None,
        pair: str | None = None,
        min_probability: float | None = None,
        strict: bool = False,
    ) -> Result: ...

    @overload
    def predict(
        self,
        texts: Iterator[TextRow],
        *,
        text: str | None = None,
        pair: str | None = None,
        min_probability: float | None = None,
        strict: bool = False,
    ) -> Iterator[Result]: ...

    @overload
    def predict(
        self,
        texts: Iterable[Any],
        *,
        text: str | None = None,
        pair: str | None = None,
        min_probability: float | None = None,
        strict: bool = False,
    ) -> list[Result]: ...

    def predict(
        self,
        texts: TextRow | Iterable[Any],
        *,
        text: str | None = None,
        pair: str | None = None,
        min_probability: float | None = None,
        strict: bool = False,
    ) -> Result | list[Result] | Iterator[Result]:
        """Label one text, or many: an object for a text, a list for a list.

        An iterator is answered by an iterator, which reads on as it is read: a file of any size
        takes constant memory.

        Args:
            texts: a string or an object with `text` (also `pair`; `words`; `question` and
                `context`), a list of them, a column or a frame of pandas or polars, a Dataset.
            text: column of the text in a frame; None: "text".
            pair: column of the second text in a frame; None: "pair", where there is one.
            min_probability: labels of a lower one are None, the best one stands under `best`.
            strict: raise what is wrong with a text; False: it has a RefusedResult in its place.

        Raises:
            DataError: a column is missing, or, if `strict`, something is no text.
        """
        columns = {"text": text, "pair": pair}
        how: dict[str, Any] = {"min_probability": min_probability, "strict": strict}
        if is_one(texts):
            return next(self.labeller.answers(text_rows([texts], columns), **how))
        answers = self.labeller.answers(text_rows(texts, columns), **how)

        # What has no length may have no end.
        return list(answers) if hasattr(texts, "__len__") else answers

    def evaluate(
        self,
        data: Any,
        *,
        text: str | None = None,
        label: str | None = None,
        pair: str | None = None,
        label_separator: str | None = None,
    ) -> dict[str, float]:
        """Score the model on labelled data that it has not seen.

        Args:
            data: a file, or rows: a list of dicts, a frame, a Dataset.
            text: column of the text; None: it is detected.
            label: column of the label; None: it is detected.
            pair: column of the second text; None: it is detected.
            label_separator: what parts several labels of a cell; None: a cell is one label.

        Returns:
            Every score of the task, ratios from 0 to 1.

        Raises:
            DataError: the data are for another task, or have a label that the model does not know.
        """
        from destila.objects.scoring import labelled_examples

        named = {"text": text, "label": label, "pair": pair, "label_separator": label_separator}
        task = self.labeller.predictor.task
        columns = {role: name for role, name in named.items() if name is not None}
        examples = labelled_examples(self.folder, data, columns)
        predictions = list(self.labeller.predictor.predict(examples))
        return task.score(examples, predictions, self.labels)

    def export(self, out: str | Path | None = None, **options: Any) -> FinishedModel:
        """Write the model as a folder that runs without torch, and open that.

        Args:
            out: folder to write; None: as `destila export` chooses it.
            options: of `destila export`, such as `recipe` and `kinds`.

        Raises:
            ModelError: a proof fails; nothing is then left behind.
        """
        from destila.commands.export import Config, run
        from destila.config import build_config

        place = None if out is None else str(out)
        given = {"model": str(self.folder), "out": place, **options}
        return FinishedModel(run(build_config(Config, given, where="export"))["folder"])

    def save(self, folder: str | Path) -> Path:
        """Copy the model to a folder of its own, with a card; return the folder.

        Raises:
            ConfigError: the folder exists already or cannot be written.
        """
        from destila.study.budget import copy_folder

        out = Path(folder)
        copy_folder(self.folder, out, lambda copied: self._card(copied, out.name))
        return out

    def push(self, name: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the model with its card to the Hugging Face hub; return its address.

        Args:
            name: `organisation/model`, made where it does not exist.
            private: whether a repository that is made is yours alone.
            token: of the hub; None: the one that `hf auth login` keeps.

        Raises:
            ModelError: the hub refuses it.
        """
        from destila.objects.upload import upload

        return upload(self.folder, name, self._card, private=private, token=token)

    def _card(self, folder: Path, title: str) -> str:
        """Return the card of this model, in a folder that holds its files."""
        from destila.report import card

        return card.model_card(card.describe_folder(folder, title, self.record))
