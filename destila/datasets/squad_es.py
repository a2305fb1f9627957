"""SQuAD-es (TAR): SQuAD translated by machine, its answers aligned; tested on XQuAD.

source: `SQuAD-es` of TranslateAlignRetrieve, `train-v1.1-es.json` and `dev-v1.1-es.json` (or
`..._small.json`, which keeps the exact alignments only), likewise v2.0
licence: CC BY 4.0   paper: Carrino et al., 2020
notes: XQuAD is a translation by people of paragraphs of SQuAD's dev set. Every paragraph with a
question id of XQuAD is dropped here, or the test would be seen; XQuAD's other paragraphs may be
left under questions that SQuAD-es lost, in other words. The published systems kept them in dev:
`shared = "keep"`. Reference answers that the alignment lost
are empty with place -1: they are dropped, the question keeps its others. Without the training
file, the dev file trains and a tenth of its articles, by hash, is dev. SpanishTinyRoBERTa is tested
on the dev file itself (`test = "dev"`): dev is the test then, so choose nothing by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets import mlqa_es, xquad_es
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import read_questions
from destila.datasets._split import finish, split_by_hash
from destila.errors import DataError
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset, Example

TASK = "span"
LABELS = SPAN_LABELS


class Options(_Options):
    """Where the files are and what is tested."""

    root: str | None = root_option("squad_es_tar")
    version: Literal["1.1", "2.0"] = opt("1.1", "of SQuAD; 2.0 has questions without an answer")
    test: Literal["xquad_es", "mlqa_es", "dev", "articles"] = opt(
        "xquad_es", "XQuAD, MLQA, the dev file itself, or another tenth of the articles"
    )
    xquad: str | None = opt(
        None, "folder of XQuAD, for test = 'xquad_es'; none = $DESTILA_DATA/xquad_es"
    )
    mlqa: str | None = opt(
        None, "folder of MLQA, for test = 'mlqa_es'; none = $DESTILA_DATA/mlqa_es"
    )
    shared: Literal["drop", "keep"] = opt(
        "drop", "dev questions on paragraphs of XQuAD: not read, or kept as published"
    )


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = find_folder(options.root, "squad_es_tar", "SQuAD-es (TranslateAlignRetrieve)")
    notes: Counter[str] = Counter()
    names = [f"v{options.version}-es.json", f"v{options.version}-es_small.json"]
    dev = read_questions(need_file(folder, *[f"dev-{name}" for name in names]), "dev", notes)

    # XQuAD translates paragraphs of the dev file, which must not be seen then.
    tested = _other_test(options, dev)
    if options.test == "xquad_es" and options.shared == "drop":
        dev = _without_shared(dev, tested["test"], notes)

    # The dev file also trains where there is no other, and is tested where XQuAD is not.
    path = find_file(folder, *[f"train-{name}" for name in names])
    if path is None and options.test == "dev":
        raise DataError(
            f"test = 'dev': {folder} has no train-{names[0]}, and the dev file cannot train too: "
            "put the training file there, or test on 'articles'"
        )
    if path is not None:
        splits = {"train": read_questions(path, "train", notes), "dev": dev}
        if not tested:
            splits |= split_by_hash(dev, {"dev": 0.5, "test": 0.5}, _title)
    else:
        shares = {"train": 0.9, "dev": 0.1} if tested else {"train": 0.8, "dev": 0.1, "test": 0.1}
        splits = split_by_hash(dev, shares, _title)
        count = len(splits["train"])
        notes["questions of the dev file used for training, as there is no training file"] += count
    return finish("squad_es", TASK, LABELS, splits | tested, notes)


def _other_test(options: Options, dev: Sequence[Example]) -> dict[str, list[Example]]:
    """Return the test split where it is no part of the articles; {} where it is.

    Raises:
        DataError: a file of the other set is missing, or it has no test split.
    """
    if options.test == "xquad_es":
        return {"test": list(xquad_es.load(xquad_es.Options(root=options.xquad)).splits["test"])}
    if options.test == "mlqa_es":
        splits = mlqa_es.load(mlqa_es.Options(root=options.mlqa)).splits
        if "test" not in splits:
            raise DataError("test = 'mlqa_es': MLQA has no test file here: put it beside its dev")
        return {"test": list(splits["test"])}
    return {"test": list(dev)} if options.test == "dev" else {}


def _without_shared(
    examples: Sequence[Example], test: Sequence[Example], notes: Counter[str]
) -> list[Example]:
    """Drop the examples whose paragraph has a question of the test set."""
    # Both keep SQuAD's ids, which XQuAD took its paragraphs from.
    ids = {e.id for e in test}
    shared = {e.pair for e in examples if e.id in ids}
    kept = [e for e in examples if e.pair not in shared]
    notes["paragraphs shared with XQuAD, dropped"] += len(shared)
    notes["questions in paragraphs shared with XQuAD, dropped"] += len(examples) - len(kept)
    return kept


def _title(example: Example) -> str:
    """Return the title of a question's article."""
    return str(example.meta["title"])
