"""The recipe of data that come without one: a file, or rows that somebody holds in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from destila.config import fingerprint
from destila.errors import DataError
from destila.files import write_text
from destila.study.intake.detect import detect, recipe_for
from destila.study.intake.file_choices import FileChoices
from destila.study.planning.recipe import Recipe


def recipe_of_file(
    data: str | Path, choices: FileChoices, *, teacher: str | None = None, out: str | Path = "runs"
) -> Recipe:
    """Return the recipe of a data file, as `destila run DATA --teacher TEACHER` runs it.

    Args:
        data: table, column, CoNLL-U or SQuAD file.
        choices: what is said of it; the rest is detected.
        teacher: folder, hub name or file of labels; None: a teacher is trained from scratch.
        out: folder of studies.
    """
    recipe = recipe_for(detect(str(data), choices), Path(data), teacher, choices)
    return recipe.model_copy(update={"out": str(out)})


def save_rows(rows: Iterable[Mapping[str, Any]], out: str | Path, name: str | None = None) -> Path:
    """Write rows as the data file of a study, below its folder, and return the file.

    Args:
        rows: examples, column -> value.
        out: folder of studies.
        name: of the study; None: it is called by what the rows hold, so that other rows are
            another study.

    Raises:
        DataError: there are no rows, or a value cannot be written.
    """
    try:
        lines = [json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a row is no object of texts and labels ({error}): give dicts, or a frame with a "
            "column of texts and one of labels"
        ) from error
    if not lines:
        raise DataError("there are no rows: give at least ten labelled texts")

    text = "".join(lines)
    path = Path(out) / (name or f"rows-{fingerprint(text)[:8]}") / "data.jsonl"
    write_text(path, text)
    return path
