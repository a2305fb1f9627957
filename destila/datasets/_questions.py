"""What the question answering sets share: splits by article, and questions that nobody answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from destila.errors import DataError
from destila.formats.squad import read_squad
from destila.types import Example

ARTICLES = 30
"""With fewer articles a tenth of them is no fair part: paragraphs are divided instead."""


def read_questions(
    path: Path, split: str, notes: Counter[str], encoding: str | None = None
) -> list[Example]:
    """Read the labelled questions of a file; see `read_squad`.

    Questions without labels are dropped from train and counted.

    Raises:
        DataError: another split has such questions, or all are so.
    """
    # Scores need labels, and so does a training file: only a part of it may lack them.
    examples = read_squad(path, split, notes, encoding)
    unlabelled = [e.id for e in examples if e.answers is None]
    if unlabelled and (split != "train" or len(unlabelled) == len(examples)):
        raise DataError(
            f"{path}: {len(unlabelled)} questions (first: '{unlabelled[0]}') have no 'answers' to "
            "learn or score by: add the key (an empty list says that there is no answer) or take "
            "them out"
        )
    notes[f"{split} questions without labels, dropped"] += len(unlabelled)
    return [e for e in examples if e.answers is not None]


def group_key(examples: Sequence[Example]) -> Callable[[Example], str]:
    """Return what keeps questions together when a set is divided.

    It is their article, or their context where there are few articles.
    """
    # Questions on one text share words, so they must not be on both sides.
    if len({e.meta["title"] for e in examples}) >= ARTICLES:
        return lambda e: str(e.meta["title"])
    return lambda e: e.pair or ""
