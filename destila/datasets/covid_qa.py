"""COVID-QA of Uruguay: native questions on long news articles about COVID-19; some have no answer in their article.

source: `dataset_covid_qa_train.json`, `..._dev.json`, `..._test.json` of covid19-qa (PLN, UdelaR)   licence: none stated,
news by la diaria
notes: articles of up to 2,787 words, read in windows. An answer of "" says that there is none. Some places are wrong: their
answers are found again or dropped. Dev and test are optional: what is missing is cut out of train by hash of the article.
"""

from __future__ import annotations

from collections import Counter

from destila.config import Options as _Options
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import group, read
from destila.datasets._split import fill, finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS
FILE = "dataset_covid_qa_{}.json"


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("covid_qa_uy")


def load(options: Options) -> Dataset:
    """The three splits; raises DataError for a missing or damaged file."""
    folder = find_folder(options.root, "covid_qa_uy", "covid19-qa")
    notes: Counter[str] = Counter()
    train = need_file(folder, FILE.format("train"))
    found = {"train": train} | {
        split: find_file(folder, FILE.format(split)) for split in ("dev", "test")
    }
    splits = {split: read(path, split, notes) for split, path in found.items() if path is not None}
    return finish("covid_qa", TASK, LABELS, fill(splits, str(train), group(splits["train"])), notes)
