"""InferES: natural language inference written in Spanish, on Wikipedia sentences of few topics.

source: InferES `inferes_train.csv`, `inferes_test.csv`   licence: none stated
paper: Kovatchev and Taulé, 2022
notes: CSV with quotes. Labels `ent`, `neutral`, `cnt` are renamed to XNLI's. The published split
is random over pairs: most test premises also occur in train, and some test pairs are copies of
train pairs. `split = "topic"` (default) pools both files and divides by topic: in the order of
topic numbers, the last two are test, the fourth is dev, the rest train. `"published"` keeps the
published test file and takes a tenth of train (by hash of the premise) as dev; copies of train
pairs are counted. The files hold 8,056 pairs, the paper counts 8,055.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import finish, split_by_hash
from destila.errors import DataError
from destila.formats.tables import table_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("entailment", "neutral", "contradiction")
_NAMES = {"ent": "entailment", "neutral": "neutral", "cnt": "contradiction"}
_COLUMNS = ("ID", "Premise", "Hypothesis", "Label", "Topic")


class Options(_Options):
    """Where the files are and how they are divided."""

    root: str | None = root_option("inferes")
    split: Literal["topic", "published"] = opt(
        "topic", "by topic (honest), or the published random split"
    )


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing, a row is faulty or a label is unknown.
    """
    folder = find_folder(options.root, "inferes", "the InferES repository")
    notes: Counter[str] = Counter()
    train = _examples(need_file(folder, "inferes_train.csv"), "train", notes)
    test = _examples(need_file(folder, "inferes_test.csv"), "test", notes)

    # The published split is random over pairs, so premises are in both.
    if options.split == "topic":
        splits = _split_by_topic(train + test)
    else:
        splits = split_by_hash(train, {"train": 0.9, "dev": 0.1}) | {"test": test}
        seen = {(e.text, e.pair, e.target) for e in train}
        copies = sum((e.text, e.pair, e.target) in seen for e in test)
        notes["test pairs that are copies of train pairs (kept)"] += copies
    return finish("inferes", TASK, LABELS, splits, notes)


def _split_by_topic(examples: list[Example]) -> dict[str, list[Example]]:
    """Divide pairs by topic: the last two are test, the fourth is dev, the rest train."""
    # By number, so that the order does not depend on the rows.
    topics = sorted({e.meta["topic"] for e in examples}, key=_topic_order)
    if len(topics) < 6:
        raise DataError(
            f"InferES has {len(topics)} topics here, a split by topic needs 6: set data.split = "
            '"published"'
        )

    # Whole topics, as premises of one topic share their words.
    split_of = dict.fromkeys(topics, "train")
    split_of |= {topics[3]: "dev"} | dict.fromkeys(topics[-2:], "test")
    splits: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for example in examples:
        splits[split_of[example.meta["topic"]]].append(example)
    return splits


def _topic_order(topic: str) -> tuple[int, str]:
    """Return the place of a topic, by its number."""
    return (int(topic) if topic.isdigit() else 0, topic)


def _examples(path: Path, name: str, notes: Counter[str]) -> list[Example]:
    """Read the pairs of a file."""
    examples = []
    for number, row in table_rows(path, needed=_COLUMNS):
        # Blanks are collapsed, so that copies of a pair are equal.
        premise, hypothesis = (" ".join(row[key].split()) for key in ("Premise", "Hypothesis"))
        if not premise or not hypothesis:
            notes["pairs with an empty sentence, dropped"] += 1
            continue
        if row["Label"] not in _NAMES:
            raise DataError(
                f"{path}, line {number}: label '{row['Label']}' is none of {', '.join(_NAMES)}"
            )
        meta = {"topic": row["Topic"], "file": name}
        target = _NAMES[row["Label"]]
        examples.append(Example(row["ID"], premise, pair=hypothesis, target=target, meta=meta))
    return examples
