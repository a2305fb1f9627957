"""MLQA, Spanish questions on Spanish Wikipedia paragraphs; training data is SQuAD translated by machine.

source: `MLQA_V1` (`dev-context-es-question-es.json` 500, `test-context-es-question-es.json` 5,253) and
`mlqa-translate-train` (`es_squad-translate-train-train-v1.1.json`, 81,810)   licence: CC BY-SA 3.0
paper: Lewis et al., 2020
notes: one answer per question. The training file and the test file are optional: the set has the splits that are there.
The memoria took `es_squad-translate-train-dev-v1.1.json` (10,123) for dev, the slides the 500 questions read here.
"""

from __future__ import annotations

from collections import Counter

from destila.config import Options as _Options
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._questions import read
from destila.datasets._split import finish
from destila.model_folder import SPAN_LABELS
from destila.types import Dataset

TASK = "span"
LABELS = SPAN_LABELS
DEV = "dev-context-es-question-es.json"
FILES = {
    "train": "es_squad-translate-train-train-v1.1.json",
    "dev": DEV,
    "test": "test-context-es-question-es.json",
}


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("mlqa_es")


def load(options: Options) -> Dataset:
    """The splits whose files are there, dev always; raises DataError for a missing or damaged file."""
    folder = find_folder(options.root, "mlqa_es", "MLQA_V1 and mlqa-translate-train")
    need_file(folder, DEV)
    notes: Counter[str] = Counter()
    found = {split: find_file(folder, name) for split, name in FILES.items()}
    splits = {split: read(path, split, notes) for split, path in found.items() if path is not None}
    return finish("mlqa_es", TASK, LABELS, splits, notes)
