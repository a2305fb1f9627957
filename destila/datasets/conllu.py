"""A user's own CoNLL-U files: one tag column of every word.

source: yours   licence: yours
notes: dev and test are optional; what is missing is cut out of train by hash, a tenth each, equal sentences
together. Multiword tokens as in `ancora_pos`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._split import fill, finish
from destila.datasets.ancora_pos import examples
from destila.files import open_text
from destila.formats import conllu
from destila.types import Dataset

TASK = "tag"
LABELS = None


class Options(_Options):
    """Files and column."""

    train: str = opt(..., "CoNLL-U file, plain or .gz")
    dev: str | None = opt(None, "none = a tenth of train, by hash")
    test: str | None = opt(None, "none = a tenth of train, by hash")
    column: Literal["upos", "xpos", "deprel"] = opt("upos", "the column that is predicted")
    mwt: conllu.MultiwordRule = opt(
        "words", "multiword tokens: true syntactic words, or '_' lines before their parts"
    )


def load(options: Options) -> Dataset:
    """The splits; raises DataError for a missing file, a faulty line or a label that train lacks."""
    notes: Counter[str] = Counter()
    paths = {"train": options.train, "dev": options.dev, "test": options.test}
    splits = {
        split: examples(
            conllu.read_conllu(open_text(Path(path)), path, column=options.column, mwt=options.mwt),
            notes,
        )
        for split, path in paths.items()
        if path is not None
    }
    return finish("conllu", TASK, LABELS, fill(splits, options.train), notes)
