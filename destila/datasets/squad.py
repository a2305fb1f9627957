"""A user's own questions in SQuAD's JSON, v1.1 or v2, with the places of their answers.

source: yours   licence: yours
notes: an answer whose place is wrong is looked for in its context; one that is not there is
dropped, and so is a question that keeps no answer. All distinct reference answers count when
scoring, the first one trains. `is_impossible`, an empty list of answers, or answers that are all
empty mean that the context holds none. Ids that occur twice are numbered. Dev and test are
optional: what is missing is cut out of train by hash of the article (of the context in files with
fewer than 30 articles), a tenth each.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._questions import group_key, read_questions
from destila.datasets._split import fill_splits, finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS


class Options(_Options):
    """Files."""

    train: str = opt(..., "SQuAD JSON file, plain, .gz or .zst")
    dev: str | None = opt(None, "none = a tenth of train's articles, by hash")
    test: str | None = opt(None, "none = a tenth of train's articles, by hash")
    encoding: str | None = opt(None, "of the files, such as cp1252; none = recognised", later=True)


def load(options: Options) -> Dataset:
    """Load the splits.

    Raises:
        DataError: a file is missing, damaged or of another shape, or a context is empty.
    """
    notes: Counter[str] = Counter()
    paths = {"train": options.train, "dev": options.dev, "test": options.test}
    splits = {
        split: read_questions(Path(path), split, notes, options.encoding)
        for split, path in paths.items()
        if path is not None
    }

    # Whole articles or paragraphs go to one side.
    splits = fill_splits(splits, options.train, notes, group_key(splits["train"]))
    return finish("squad", TASK, LABELS, splits, notes)
