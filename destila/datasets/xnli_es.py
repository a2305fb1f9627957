"""XNLI, Spanish part: a premise, and a hypothesis that follows from it, contradicts it or neither.

source: XNLI 1.0 (`xnli.dev.tsv`, `xnli.test.tsv`, 15 languages in one file), or the Spanish copies
`meta4xnli_xnli_dev_{met,no_met,nonrelevant}.tsv` (dev in three parts, each pair also in English)
and `xnli-es-original.test.tsv`; optionally the machine translated training file
`multinli.train.es.tsv` of XNLI-MT (392,702 pairs)
licence: CC BY-NC 4.0   paper: Conneau et al., 2018
notes: tab separated without quoting. Labels are words, or 0 entailment, 1 neutral, 2
contradiction; the training file spells `contradictory`. Without the training file, `train_share`
of the dev pairs (by hash of the premise, so that all pairs of a premise stay together) train and
the rest are dev.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._split import finish, split_by_hash
from destila.errors import DataError
from destila.files import open_text
from destila.formats.columns import tsv_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("entailment", "neutral", "contradiction")
_LANGUAGE = "es"
_META4XNLI = tuple(f"meta4xnli_xnli_dev_{part}.tsv" for part in ("met", "no_met", "nonrelevant"))
_NAMES = {"0": "entailment", "1": "neutral", "2": "contradiction", "contradictory": "contradiction"}
_COLUMNS = (
    ("premise", "sentence1"),
    ("hypothesis", "hypo", "sentence2"),
    ("label", "gold_label"),
)


class Options(_Options):
    """Where the files are and what trains."""

    root: str | None = root_option("xnli_es")
    train_share: float = opt(
        0.8, "share of dev used for training when there is no training file", gt=0, lt=1
    )


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing, a row is faulty or a label is unknown.
    """
    folder = find_folder(options.root, "xnli_es", "XNLI 1.0")
    notes: Counter[str] = Counter()

    # Dev is one file, or comes in three parts.
    single = find_file(folder, "xnli.dev.tsv")
    paths = [single] if single else [need_file(folder, name) for name in _META4XNLI]
    dev: list[Example] = []
    for path in paths:
        dev += _examples(path, "dev", notes)
    path = need_file(folder, "xnli-es-original.test.tsv", "xnli.test.tsv")
    test = list(_examples(path, "test", notes))

    # Without the translated training file, a part of dev trains.
    translated = find_file(folder, "multinli.train.es.tsv")
    if translated is not None:
        splits = {"train": list(_examples(translated, "train", notes)), "dev": dev}
    else:
        shares = {"train": options.train_share, "dev": 1 - options.train_share}
        splits = split_by_hash(dev, shares)
        notes["dev pairs used for training, as there is no training file"] += len(splits["train"])
    return finish("xnli_es", TASK, LABELS, splits | {"test": test}, notes)


def _examples(path: Path, split: str, notes: Counter[str]) -> Iterator[Example]:
    """Yield the Spanish pairs of a file."""
    for number, row in tsv_rows(open_text(path), str(path), *_COLUMNS):
        # The file of all languages has them in one column.
        if row.get("language", _LANGUAGE) != _LANGUAGE:
            notes["rows in other languages, dropped"] += 1
            continue
        if not row["premise"].strip() or not row["hypothesis"].strip():
            notes["pairs with an empty sentence, dropped"] += 1
            continue

        # Copies write labels as numbers, or as the original's words.
        label = _NAMES.get(row["label"], row["label"])
        if label not in LABELS:
            raise DataError(
                f"{path}, line {number}: label '{row['label']}' is none of {', '.join(LABELS)} or "
                "0, 1, 2"
            )

        # Ids and genres are kept where a copy has them, to look examples up.
        name = row.get("pairID") or f"{split}-{number}"
        meta = {key: row[key] for key in ("promptID", "genre") if row.get(key)}
        yield Example(name, row["premise"], pair=row["hypothesis"], target=label, meta=meta)
