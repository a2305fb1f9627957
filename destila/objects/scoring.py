"""Labelled data of a user as examples that a finished model is scored on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destila import datasets
from destila.config import build_config
from destila.errors import DataError
from destila.objects.text_rows import frame_rows, is_frame
from destila.study.intake.detect import FileChoices, detect
from destila.study.intake.distil_data import save_rows
from destila.types import Example


def labelled_examples(
    data: Any, columns: Mapping[str, str], options: Mapping[str, str], task: str
) -> Sequence[Example]:
    """Return every example of a file or of rows.

    Args:
        data: a file, or rows: a list of dicts, a frame, a Dataset.
        columns: what a part of an example is -> the column that holds it.
        options: more of the data set, such as `label_separator`.
        task: of the model.

    Raises:
        DataError: there are no examples, or they are for another task.
    """
    if isinstance(data, str | Path):
        return _examples(str(data), columns, options, task)

    # The loaders read files alone.
    with tempfile.TemporaryDirectory() as folder:
        rows = frame_rows(data) if is_frame(data) else data
        return _examples(str(save_rows(rows, folder)), columns, options, task)


def _examples(
    path: str, columns: Mapping[str, str], options: Mapping[str, str], task: str
) -> Sequence[Example]:
    """Return every example of a file."""
    data = detect(path, build_config(FileChoices, columns, where="evaluate"))

    # The file stands for all three splits, so that none is cut out of it.
    files = dict.fromkeys(("train", "dev", "test"), path)
    dataset = datasets.load({"use": data.use, **data.options, **options, **files})
    if dataset.task != task:
        raise DataError(
            f"{path} holds examples of '{dataset.task}', the model is for '{task}': give others"
        )
    return dataset.splits["test"]
