"""Labelled data of a user as the examples that a finished model is scored on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destila.objects.text_rows import frame_rows, is_frame
from destila.study.intake.distil_data import save_rows
from destila.study.intake.labelled_file import study_of_file
from destila.types import Example


def labelled_examples(model: Path, data: Any, columns: Mapping[str, str]) -> Sequence[Example]:
    """Return every example of a file or of rows, read as the model's own data were.

    Args:
        model: its folder.
        data: a file, or rows: a list of dicts, a frame, a Dataset.
        columns: what a part of an example is -> the column that holds it.

    Raises:
        DataError: there are no examples, or they are for another task or have other labels.
    """
    if isinstance(data, str | Path):
        return _examples(model, data, columns)

    # The loaders read files alone.
    with tempfile.TemporaryDirectory() as folder:
        path = save_rows(frame_rows(data) if is_frame(data) else data, folder)
        return _examples(model, path, columns)


def _examples(model: Path, path: str | Path, columns: Mapping[str, str]) -> Sequence[Example]:
    """Return every example of a file."""
    return study_of_file(str(model), str(path), columns).dataset.splits["test"]
