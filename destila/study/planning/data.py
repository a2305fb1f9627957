"""A study: a recipe with its examples, its labels, its task, and the records that it has already.

`load_study` only reads. What is written, records and the folder of runs, is written by methods and
functions that say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from destila import datasets, records
from destila.errors import ConfigError, DataError
from destila.records import Record
from destila.study.planning.encodings import Encodings
from destila.study.planning.keys import DataKey, example_rows
from destila.study.planning.recipe import Recipe
from destila.study.planning.texts import UnlabelledTexts
from destila.tasks import task_of
from destila.types import Dataset, Task

SPLITS = ("train", "dev", "test")
"""The splits of a data set that a study needs; others, such as unlabelled texts, may be there."""

CROSS = "cross-validation"
"""The split of a study with folds: every text, each to be answered by models trained without it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A recipe with its data loaded, as `load_study` returns it.

    Args:
        recipe: what is asked for.
        dataset: its examples by split, and its labels.
        task: encodes, decodes and scores them.
        encodings: windows and tokenizers, made when they are first asked for.
        unlabelled: texts beside the labelled ones, read when they are first asked for.
        recorded: the records of the study by their keys, the newest last.
        place: folder of its students where it is not the recipe's; None: the recipe's.
    """

    recipe: Recipe
    dataset: Dataset
    task: Task
    encodings: Encodings
    unlabelled: UnlabelledTexts
    recorded: dict[str, Record] = field(default_factory=dict)
    place: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the data set, in the order of every model's logits."""
        return self.dataset.labels

    @cached_property
    def main(self) -> str:
        """The name of the score by which models are chosen and compared."""
        return self.task.main_score(self.labels)

    @cached_property
    def key(self) -> str:
        """The digest of examples, labels and how they are encoded."""
        return DataKey(
            splits={name: example_rows(self.dataset.splits.get(name, ())) for name in SPLITS},
            labels=self.labels,
            max_length=self.recipe.max_length,
            task=self.task.settings(),
            folds=self.recipe.folds,
        ).digest

    @property
    def scored(self) -> str:
        """The split on which the study's models are compared."""
        return CROSS if CROSS in self.dataset.splits else "test"

    @property
    def facts(self) -> dict[str, Any]:
        """What a trained model's folder says of itself, so that it is read everywhere as here."""
        # A model of a table is asked about tables of the same columns.
        columns = dict(self.dataset.columns)
        return {
            "task": self.dataset.task,
            "labels": list(self.labels),
            "max_length": self.recipe.max_length,
            **({"columns": columns} if columns else {}),
            **self.task.facts(),
        }

    @cached_property
    def class_counts(self) -> list[int]:
        """Training units per class, in label order."""
        # A text has one target, a sentence one for each word.
        counts: Counter[str] = Counter()
        for example in self.dataset.splits.get("train", ()):
            target = example.target or ()
            counts.update([target] if isinstance(target, str) else target)
        return [counts[label] for label in self.labels]

    @property
    def folder(self) -> Path:
        """The folder of the study's runs and reports."""
        return self.place or self.recipe.folder

    @property
    def records_path(self) -> Path:
        """The file in which records are kept."""
        return self.recipe.records_path

    def record(self, record: Record) -> None:
        """Add a record to those of the study, on disk too."""
        records.append_record(self.records_path, record)
        self.recorded[record.key] = record

    def replace_records(self, new: Sequence[Record]) -> None:
        """Write records in the places of those of their keys, on disk too."""
        records.replace_records(self.records_path, new)
        self.recorded.update({record.key: record for record in new})

    def read_again(self) -> None:
        """Read the records again, which another process may have added to."""
        self.recorded.clear()
        self.recorded.update(_recorded(self.recipe))

    def reuse_record(self, key: str) -> None:
        """Write a record again when another took its place: a recipe was changed back."""
        # The report shows the last record of each row.
        record = self.recorded[key]
        place = (record.role, record.model, record.seed, record.split)
        rivals = [r for r in self.recorded.values() if (r.role, r.model, r.seed, r.split) == place]
        if rivals[-1].key != key:
            del self.recorded[key]  # to the end, as in the file
            self.record(record)


def load_study(recipe: Recipe, *, needs: Sequence[str] = SPLITS) -> Study:
    """Load the data of a recipe and what was recorded of it; nothing is written.

    Args:
        recipe: the study's recipe.
        needs: splits that must have examples; to score a model, the one it is scored on is enough.

    Raises:
        DataError: a split has no examples, or a record is damaged.
        ConfigError: the data have no such score as the recipe's `metric`.
    """
    # A split that is missing is better known now than after a training.
    dataset = datasets.load(recipe.data)
    for split in needs:
        if not dataset.splits.get(split):
            raise DataError(
                f"data set '{dataset.name}' has no examples in its {split} split: add that file "
                "or use another set (destila evaluate needs only the split it scores)"
            )

    # Windows, tokenizers and unlabelled texts are made when they are first asked for.
    task = scored_task(recipe, dataset)
    folder = recipe.folder / "tokenizers"
    return Study(
        recipe=recipe,
        dataset=dataset,
        task=task,
        encodings=Encodings(dataset, task, max_length=recipe.max_length, folder=folder),
        unlabelled=UnlabelledTexts(dataset),
        recorded=_recorded(recipe),
    )


def scored_task(recipe: Recipe, dataset: Dataset) -> Task:
    """Return the task of a data set with the options of a recipe.

    Raises:
        ConfigError: the data have no such score as the recipe's `metric`.
    """
    task = task_of(dataset.task, recipe.model_dump())
    if recipe.metric not in (None, main := task.main_score(dataset.labels)):
        raise ConfigError(f"metric = '{recipe.metric}': with these labels only {main} can be it")
    return task


def _recorded(recipe: Recipe) -> dict[str, Record]:
    """Return the records of a study by their keys, the newest last."""
    path = recipe.records_path
    return {r.key: r for r in records.read_records(path)} if path.exists() else {}
