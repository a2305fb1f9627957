"""SQuAD-es (TAR): SQuAD v1.1 or v2 translated by machine, its answers aligned; tested on XQuAD as in the papers.

source: `SQuAD-es` of TranslateAlignRetrieve, `train-v1.1-es.json` and `dev-v1.1-es.json` (or `..._small.json`, which
keeps the exact alignments only), likewise v2.0   licence: CC BY 4.0   paper: Carrino et al., 2020
notes: XQuAD is a translation by people of paragraphs of SQuAD's dev set. Every paragraph with a question id of XQuAD is
dropped here, or the test would be seen; XQuAD's other paragraphs may be left under questions that SQuAD-es lost, in other
words. Reference answers that the alignment lost are empty with place -1: they are dropped, the question keeps its others.
Without the training file, the dev file trains and a tenth of its articles, by hash, is dev.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets import xquad_es
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import read
from destila.datasets._split import by_hash, finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset, Example

TASK = "span"
LABELS = SPAN_LABELS


class Options(_Options):
    """Where the files are and what is tested."""

    root: str | None = root_option("squad_es_tar")
    version: Literal["1.1", "2.0"] = opt("1.1", "of SQuAD; 2.0 has questions without an answer")
    test: Literal["xquad_es", "articles"] = opt(
        "xquad_es", "XQuAD, or another tenth of the articles"
    )
    xquad: str | None = opt(
        None, "folder of XQuAD, for test = 'xquad_es'; none = $DESTILA_DATA/xquad_es"
    )


def load(options: Options) -> Dataset:
    """The three splits; raises DataError for a missing or damaged file."""
    folder = find_folder(options.root, "squad_es_tar", "SQuAD-es (TranslateAlignRetrieve)")
    notes: Counter[str] = Counter()
    names = [f"v{options.version}-es.json", f"v{options.version}-es_small.json"]
    held = read(need_file(folder, *[f"dev-{name}" for name in names]), "dev", notes)
    test: list[Example] | None = None
    if options.test == "xquad_es":
        test = list(xquad_es.load(xquad_es.Options(root=options.xquad)).splits["test"])
        held = _apart(held, test, notes)
    train = find_file(folder, *[f"train-{name}" for name in names])
    if train is not None:
        splits = {"train": read(train, "train", notes), "dev": held}
        if test is None:
            splits |= by_hash(held, {"dev": 0.5, "test": 0.5}, _title)
    else:
        shares = (
            {"train": 0.9, "dev": 0.1}
            if test is not None
            else {"train": 0.8, "dev": 0.1, "test": 0.1}
        )
        splits = by_hash(held, shares, _title)
        notes["questions of the dev file used for training, as there is no training file"] += len(
            splits["train"]
        )
    return finish(
        "squad_es", TASK, LABELS, splits if test is None else splits | {"test": test}, notes
    )


def _apart(
    examples: Sequence[Example], test: Sequence[Example], notes: Counter[str]
) -> list[Example]:
    """The examples whose paragraph has no question of the test set."""
    ids = {e.id for e in test}
    shared = {e.pair for e in examples if e.id in ids}
    kept = [e for e in examples if e.pair not in shared]
    notes["paragraphs shared with XQuAD, dropped"] += len(shared)
    notes["questions in paragraphs shared with XQuAD, dropped"] += len(examples) - len(kept)
    return kept


def _title(example: Example) -> str:
    return str(example.meta["title"])
