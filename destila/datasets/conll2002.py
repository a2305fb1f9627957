"""CoNLL-2002, Spanish part: named entities in EFE news of May 2000, four types, IOB2.

source: the shared task's `esp.train`, `esp.testa` (dev), `esp.testb` (test)
licence: none stated, research use   paper: Tjong Kim Sang, 2002
notes: three columns split by one space (form, part of speech, entity); some copies have two. The
original is Latin-1, common copies are UTF-8: both are read, Latin-1 is counted. `-DOCSTART-` lines
are skipped. One training "sentence" is a list of 1,238 words. Three tags begin an entity with
`I-`: they are kept, as scores count them like `B-`. The published model cards count 8,324 / 1,916
/ 1,518 sentences, one more each: that loader yields an empty sentence at the end.
"""

from __future__ import annotations

from collections import Counter

from destila.config import Options as _Options
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import finish
from destila.files import open_text
from destila.formats.charset import detect_encoding
from destila.formats.columns import join_words, read_tagged, to_iob2
from destila.types import Dataset, Example

TASK = "tag"
LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
_FILES = {"train": "esp.train", "dev": "esp.testa", "test": "esp.testb"}


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("conll2002_es")


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing or a line is faulty.
    """
    folder = find_folder(options.root, "conll2002_es", "the CoNLL-2002 shared task")
    notes: Counter[str] = Counter()
    splits = {}
    for split, name in _FILES.items():
        # Originals are Latin-1, common copies UTF-8.
        path = need_file(folder, name)
        encoding = detect_encoding(path)
        notes["files read as Latin-1"] += encoding != "utf-8"

        # Repairs are counted, not made: published scores are on these very tags.
        examples: list[Example] = []
        for sentence in read_tagged(open_text(path, encoding=encoding), str(path), separator=" "):
            text, words = join_words((word, 1) for word in sentence.words)
            notes["I- tags that begin an entity, kept as published"] += to_iob2(sentence.tags)[1]
            id_ = f"{split}-{len(examples) + 1}"
            examples.append(Example(id_, text, words=words, target=sentence.tags))
        splits[split] = examples
    return finish("conll2002", TASK, LABELS, splits, notes)
