"""A user's own column files: one word and its tag per line, a blank line between sentences.

source: yours   licence: yours
notes: entity tags are brought to IOB2: an `I-` that begins an entity becomes `B-` (counted; a file
in IOB1 is recognised and named as such), and BILOU/BIOES marks become B- and I-. Other tags are
kept as they are. `-DOCSTART-` lines are skipped. Dev and test are optional: what is missing is cut
out of train by hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._split import check_labels, fill_splits, finish
from destila.formats.charset import text_lines
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
    encoding: str | None = opt(None, "of the files, such as cp1252; none = recognised", later=True)


def load(options: Options) -> Dataset:
    """Load the splits.

    Raises:
        DataError: a file is missing, a line is short, or a label is not in train.
    """
    notes: Counter[str] = Counter()
    separator = SEPARATORS[options.separator]
    splits = {}
    for split, path in {"train": options.train, "dev": options.dev, "test": options.test}.items():
        if path is None:
            continue

        # Files differ in columns and separators, so both are options.
        lines = text_lines(path, options.encoding)
        rows = read_tagged(lines, path, word=options.word, tag=options.tag, separator=separator)
        sentences = list(rows)
        splits[split] = _examples(split, sentences, notes)

        # A wrong column shows at once: its "tags" are words.
        if split == "train":
            tags = list(chain.from_iterable(sentence.tags for sentence in sentences))
            check_labels(tags, f"{path}, column {options.tag}", "tag")
    return finish("conll", TASK, LABELS, fill_splits(splits, options.train, notes), notes)


def _examples(
    split: str, sentences: Sequence[TaggedSentence], notes: Counter[str]
) -> list[Example]:
    """Make examples of sentences, with their tags in IOB2 when they mark entities."""
    # Words are joined by spaces; their spans lead back to the columns.
    examples = []
    rows = zip(sentences, _entity_tags(sentences, notes), strict=True)
    for number, (sentence, tags) in enumerate(rows, 1):
        text, words = join_words((word, 1) for word in sentence.words)
        meta = {"line": sentence.line}
        examples.append(Example(f"{split}-{number}", text, words=words, target=tags, meta=meta))
    return examples


def _entity_tags(sentences: Sequence[TaggedSentence], notes: Counter[str]) -> list[tuple[str, ...]]:
    """Return the tags of one file in IOB2 when they mark entities, else as they are."""
    # Tags that mark no entities, such as parts of speech, stay as they are.
    rows = [sentence.tags for sentence in sentences]
    marks = {tag[:2] for tag in set(chain.from_iterable(rows)) - {"O"}}
    if not marks or not marks <= {"B-", "I-", *_BIOES}:
        return rows

    # BILOU and BIOES mark the last word of an entity and entities of one word too.
    if marks & _BIOES.keys():
        changed = sum(tag[:2] in _BIOES for tag in chain.from_iterable(rows))
        notes["tags changed from BILOU/BIOES"] += changed
        rows = [tuple(_BIOES.get(tag[:2], tag[:2]) + tag[2:] for tag in row) for row in rows]

    # Every entity begins with B-.
    note = "I- tags without a B- before, repaired"
    if is_iob1(rows):
        note = "I- changed to B- (the file is in IOB1)"
    fixed = [to_iob2(row) for row in rows]
    notes[note] += sum(changed for _, changed in fixed)
    return [tags for tags, _ in fixed]
