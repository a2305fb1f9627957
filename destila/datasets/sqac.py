"""SQAC, the Spanish Question Answering Corpus: native questions on Wikipedia, news and AnCora.

source: `train.json`, `dev.json`, `test.json` of SQAC (hub PlanTL-GOB-ES/SQAC)
licence: CC BY-SA 4.0   paper: Gutiérrez-Fandiño et al., 2022
notes: SQuAD v1.1 JSON, one answer per question; 15,036 / 1,864 / 1,910 questions.
"""

from __future__ import annotations

from collections import Counter

from destila.config import Options as _Options
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._questions import read_questions
from destila.datasets._split import finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("sqac")


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = find_folder(options.root, "sqac", "SQAC")
    notes: Counter[str] = Counter()
    splits = {
        split: read_questions(need_file(folder, f"{split}.json"), split, notes)
        for split in ("train", "dev", "test")
    }
    return finish("sqac", TASK, LABELS, splits, notes)
