"""XQuAD, Spanish part: 1,190 questions on SQuAD's dev set, translated by people. Test only.

source: `xquad.es.json` of the XQuAD repository   licence: CC BY-SA 4.0
paper: Artetxe et al., 2020
notes: one answer per question. Its paragraphs are also in SQuAD-es: to train there, use
`squad_es`, which drops them.
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
    """Where the file is."""

    root: str | None = root_option("xquad_es")


def load(options: Options) -> Dataset:
    """Load the test split.

    Raises:
        DataError: the file is missing or damaged.
    """
    folder = find_folder(options.root, "xquad_es", "XQuAD")
    notes: Counter[str] = Counter()
    test = read_questions(need_file(folder, "xquad.es.json"), "test", notes)
    return finish("xquad_es", TASK, LABELS, {"test": test}, notes)
