"""A newly labelled file, read as the test split of a model that is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from destila import datasets, hub
from destila.datasets import table
from destila.errors import DataError
from destila.formats import tables
from destila.model_folder import FolderInfo, read_folder
from destila.plugins import nearest
from destila.study.intake.detect import find_reader, study_name
from destila.study.intake.file_choices import FileChoices
from destila.study.intake.several_labels import separator_of_labels
from destila.study.planning.data import Study
from destila.study.planning.encodings import Encodings
from destila.study.planning.recipe import Recipe, StudentSpec
from destila.study.planning.texts import UnlabelledTexts
from destila.tasks import task_of_folder
from destila.types import Task

_FILES = ("train", "dev", "test")


def study_of_file(model: str, path: str, choices: Mapping[str, str] | None = None) -> Study:
    """Return a study whose test split is a file, with the labels and options of a model.

    Args:
        model: a finished model's folder, exported or not.
        path: a labelled file of any kind that `init` reads; of a table, the columns are those that
            the model was trained on, where it has them.
        choices: columns of a table that are called otherwise; None: none.

    Raises:
        DataError: the file cannot be read, is of another task or has a label of its own.
        ModelError: the folder has no head.
    """
    info = read_folder(hub.resolve(model))
    _, labels = info.head()
    task = task_of_folder(info)

    # The whole file is what is scored; no split is cut from it.
    options = {**_options_of(info, task, path), **(choices or {})}
    if options["use"] == "table":
        options = _found_columns(options, path)
    if options["use"] == "table":
        separator = _separator_of(options, path, labels) if task.label_sets else ""
        options.setdefault("label_separator", separator)
    parts = dict.fromkeys(_FILES, path)
    dataset = datasets.load({**options, **parts})
    if dataset.task != task.name:
        raise DataError(f"{path} is '{dataset.task}', and {model} does '{task.name}'")
    unknown = sorted(set(dataset.labels) - set(labels)) if not task.asks_questions else []
    if unknown:
        raise DataError(
            f"{path} has the label '{unknown[0]}', which {model} does not know."
            f"{nearest(unknown[0], list(labels))}"
        )

    dataset = replace(dataset, labels=tuple(labels), splits={"test": dataset.splits["test"]})
    recipe = Recipe(
        name=study_name(Path(path)),
        data={**options, **parts},
        max_length=int(info.extra.get("max_length", 128)),
        metric=info.extra.get("metric"),
        students=(StudentSpec(model=model),),
    )
    folder = recipe.folder / "tokenizers"  # nothing is trained, so nothing is written there
    return Study(
        recipe=recipe,
        dataset=dataset,
        task=task,
        encodings=Encodings(dataset, task, max_length=recipe.max_length, folder=folder),
        unlabelled=UnlabelledTexts(dataset),
    )


def _found_columns(options: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the options of a table without an identifier that it does not have.

    Raises:
        DataError: the file has no column of the text, the pair or the label.
    """
    _, row = next(tables.table_rows(path), (0, {}))
    for role in ("text", "pair", "label"):
        name = options.get(role)
        # Columns of 0 and 1 are several names; each is looked for where they are read.
        if row and name and name not in row and "," not in name:
            remedy = f"--{role} NAME" if role != "pair" else "the name that the model learnt"
            raise DataError(
                f"{path}: no column '{name}', which held the {role} of the training data: give "
                f"{remedy}.{nearest(name, list(row))}"
            )
    return {key: value for key, value in options.items() if key != "id" or value in row}


def _separator_of(options: Mapping[str, Any], path: str, labels: Sequence[str]) -> str | None:
    """Return what parts several labels of a row, for a model that was trained on lists."""
    columns = {key: value for key, value in options.items() if key != "use"}
    chosen = table.Options(train=path, **columns)
    rows = table.read_table(path, chosen)
    return separator_of_labels(rows, table.choose_columns(rows, chosen).label, labels)


def _options_of(info: FolderInfo, task: Task, path: str) -> dict[str, Any]:
    """Return the plug-in that reads a file, with its columns but without its files."""
    # A table has the columns that the model was trained on, else those that its loader finds.
    if tables.is_table(path) and not (task.needs_words or task.asks_questions):
        columns = {name: value for name, value in info.extra.get("columns", {}).items() if value}
        return {"use": "table", **columns}

    # Not loaded: a file of one row can be scored, and not be cut into splits.
    use, options, _ = find_reader(path, FileChoices())
    return {"use": use} | {key: value for key, value in options.items() if key not in _FILES}
