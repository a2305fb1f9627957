"""A user's own column files: one word and its tag per line, a blank line between sentences.

source: yours   licence: yours
notes: entity tags are brought to IOB2: an `I-` that begins an entity becomes `B-` (counted; a file in IOB1 is
recognised and named as such), and BILOU/BIOES marks become B- and I-. Other tags are kept as they are.
`-DOCSTART-` lines are skipped. Dev and test are optional: what is missing is cut out of train by hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._split import check_labels, fill, finish
from destila.files import open_text
from destila.formats.columns import TaggedSentence, is_iob1, join_words, read_tagged, to_iob2
from destila.types import Dataset, Example

TASK = "tag"
LABELS = None
SEPARATORS = {"blank": "", "space": " ", "tab": "\t"}
_BIOES = {"S-": "B-", "U-": "B-", "E-": "I-", "L-": "I-"}


class Options(_Options):
    """Files and columns."""

    train: str = opt(..., "column file, plain or .gz")
    dev: str | None = opt(None, "none = a tenth of train, by hash")
    test: str | None = opt(None, "none = a tenth of train, by hash")
    word: int = opt(0, "column of the word, from 0; negative counts from the end")
    tag: int = opt(-1, "column of the tag, from 0; negative counts from the end")
    separator: Literal["blank", "space", "tab"] = opt(
        "blank", "between columns: any run of blanks, exactly one space, or exactly one tab"
    )


def load(options: Options) -> Dataset:
    """The splits; raises DataError for a missing file, a short line or a label that train lacks."""
    notes: Counter[str] = Counter()
    splits = {}
    for split, path in {"train": options.train, "dev": options.dev, "test": options.test}.items():
        if path is not None:
            lines = open_text(Path(path))
            separator = SEPARATORS[options.separator]
            sentences = list(
                read_tagged(lines, path, word=options.word, tag=options.tag, separator=separator)
            )
            splits[split] = _examples(split, sentences, notes)
            if split == "train":
                check_labels(
                    [t for s in sentences for t in s.tags], f"{path}, column {options.tag}", "tag"
                )
    return finish("conll", TASK, LABELS, fill(splits, options.train), notes)


def _examples(
    split: str, sentences: Sequence[TaggedSentence], notes: Counter[str]
) -> list[Example]:
    examples = []
    for number, (sentence, tags) in enumerate(
        zip(sentences, _tags(sentences, notes), strict=True), 1
    ):
        text, words = join_words((word, 1) for word in sentence.words)
        examples.append(
            Example(
                f"{split}-{number}", text, words=words, target=tags, meta={"line": sentence.line}
            )
        )
    return examples


def _tags(sentences: Sequence[TaggedSentence], notes: Counter[str]) -> list[tuple[str, ...]]:
    """The tags of one file in IOB2 when they mark entities, else as they are."""
    kinds = {tag for sentence in sentences for tag in sentence.tags} - {"O"}
    rows = [sentence.tags for sentence in sentences]
    if any(kind[:2] in _BIOES for kind in kinds) and all(
        kind[:2] in {"B-", "I-", *_BIOES} for kind in kinds
    ):
        notes["tags changed from BILOU/BIOES"] += sum(
            tag[:2] in _BIOES for row in rows for tag in row
        )
        rows = [tuple(_BIOES.get(tag[:2], tag[:2]) + tag[2:] for tag in row) for row in rows]
    elif not kinds or not all(kind[:2] in ("B-", "I-") for kind in kinds):
        return rows
    what = (
        "I- changed to B- (the file is in IOB1)"
        if is_iob1(rows)
        else "I- tags without a B- before, repaired"
    )
    fixed = [to_iob2(row) for row in rows]
    notes[what] += sum(changed for _, changed in fixed)
    return [tags for tags, _ in fixed]
