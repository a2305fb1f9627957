"""COVID-QA of Uruguay: native questions on long news articles, some without an answer there.

source: `dataset_covid_qa_train.json`, `..._dev.json`, `..._test.json` of covid19-qa (PLN, UdelaR)
licence: none stated, news by la diaria
notes: articles of up to 2,787 words, read in windows. An answer of "" says that there is none.
Some places are wrong: their answers are found again or dropped. Dev and test are optional: what is
missing is cut out of train by hash of the article.
"""

from __future__ import annotations

from collections import Counter

from destila.config import Options as _Options
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import group_key, read_questions
from destila.datasets._split import fill_splits, finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS
_FILE = "dataset_covid_qa_{}.json"


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("covid_qa_uy")


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = find_folder(options.root, "covid_qa_uy", "covid19-qa")
    train = need_file(folder, _FILE.format("train"))
    paths = {"train": train}
    for split in ("dev", "test"):
        path = find_file(folder, _FILE.format(split))
        if path is not None:
            paths[split] = path

    notes: Counter[str] = Counter()
    splits = {split: read_questions(path, split, notes) for split, path in paths.items()}
    splits = fill_splits(splits, str(train), notes, group_key(splits["train"]))
    return finish("covid_qa", TASK, LABELS, splits, notes)
