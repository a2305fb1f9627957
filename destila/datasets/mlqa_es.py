"""MLQA, Spanish questions on Spanish Wikipedia; it trains on SQuAD translated by machine.

source: `MLQA_V1` (`dev-context-es-question-es.json` 500, `test-context-es-question-es.json` 5,253)
and `mlqa-translate-train` (`es_squad-translate-train-train-v1.1.json`, 81,810)
licence: CC BY-SA 3.0   paper: Lewis et al., 2020
notes: one answer per question. The training file and the test file are optional: the set has the
splits that are there. The memoria took `es_squad-translate-train-dev-v1.1.json` (10,123) for dev
(`dev = "translated"`), the slides the 500 questions.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import read_questions
from destila.datasets._split import finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS
_FILES = {
    "train": "es_squad-translate-train-train-v1.1.json",
    "dev": "dev-context-es-question-es.json",
    "test": "test-context-es-question-es.json",
}
_TRANSLATED_DEV = "es_squad-translate-train-dev-v1.1.json"


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("mlqa_es")
    dev: Literal["questions", "translated"] = opt(
        "questions", "dev: MLQA's own 500, or the 10,123 of translated SQuAD (memoria)"
    )


def load(options: Options) -> Dataset:
    """Load the splits whose files are there, dev always.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = find_folder(options.root, "mlqa_es", "MLQA_V1 and mlqa-translate-train")

    # Train is a download of its own, and may be missing.
    names = _FILES | ({"dev": _TRANSLATED_DEV} if options.dev == "translated" else {})
    need_file(folder, names["dev"])
    notes: Counter[str] = Counter()
    splits = {}
    for split, name in names.items():
        path = find_file(folder, name)
        if path is not None:
            splits[split] = read_questions(path, split, notes)
    return finish("mlqa_es", TASK, LABELS, splits, notes)
