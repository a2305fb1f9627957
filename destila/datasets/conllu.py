"""A user's own CoNLL-U files: one tag column of every word.

source: yours   licence: yours
notes: dev and test are optional; what is missing is cut out of train by hash, a tenth each, equal
sentences together. Multiword tokens as in `ancora_pos`.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._split import fill_splits, finish
from destila.datasets.ancora_pos import conllu_examples
from destila.formats.charset import text_lines
from destila.formats.conllu import MultiwordRule, read_conllu
from destila.types import Dataset

TASK = "tag"
LABELS = None


class Options(_Options):
    """Files and column."""

    train: str = opt(..., "CoNLL-U file, plain or .gz")
    dev: str | None = opt(None, "none = a tenth of train, by hash")
    test: str | None = opt(None, "none = a tenth of train, by hash")
    column: Literal["upos", "xpos", "deprel"] = opt("upos", "the column that is predicted")
    mwt: MultiwordRule = opt(
        "words", "multiword tokens: true syntactic words, or '_' lines before their parts"
    )
    encoding: str | None = opt(None, "of the files, such as cp1252; none = recognised", later=True)


def load(options: Options) -> Dataset:
    """Load the splits.

    Raises:
        DataError: a file is missing, a line is faulty, or a label is not in train.
    """
    notes: Counter[str] = Counter()
    splits = {}
    for split, path in {"train": options.train, "dev": options.dev, "test": options.test}.items():
        if path is None:
            continue
        lines = text_lines(path, options.encoding)
        sentences = read_conllu(lines, path, column=options.column, mwt=options.mwt)
        splits[split] = conllu_examples(sentences, notes)
    return finish("conllu", TASK, LABELS, fill_splits(splits, options.train, notes), notes)
