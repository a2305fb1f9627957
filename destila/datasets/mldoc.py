r"""MLDoc, Spanish part: Reuters news in four topics (corporate, economics, government, markets).

source: the MLDoc generator over Reuters RCV2 (licensed text; not distributed)
licence: Reuters / NIST agreement   paper: Schwenk and Li, 2018
files: `spanish.train.10000` (or another size), `spanish.dev`, `spanish.test`, each also with .tsv
or .txt
notes: a line is `CCAT<tab>text`, without quoting and usually without header. Run under Python 3,
the generator writes the text as a bytes literal (`b'... \xc3\xb3 ...'`): it is decoded and
counted. Blanks are collapsed to one, as the published systems did. The "10000" file has 9,458
Spanish rows; dev 1,000, test 4,000. The memoria of 2021 read the first two sentences alone, as a
pair: `text = "two sentences"` (its splitter was Punkt, ours is `tokenizer/split_sentences.py`).
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import finish
from destila.errors import DataError
from destila.files import open_text
from destila.tokenizer.split_sentences import split_sentences
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("CCAT", "ECAT", "GCAT", "MCAT")
_BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)


class Options(_Options):
    """Where the files are and which training size."""

    root: str | None = root_option("mldoc_es")
    size: int = opt(10000, "which training file: 1000, 2000, 5000 or 10000")
    text: Literal["whole", "two sentences"] = opt(
        "whole", "what is read: the document, or its first two sentences as a pair (memoria)"
    )


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing, a row is faulty or a label is unknown.
    """
    folder = find_folder(options.root, "mldoc_es", "the MLDoc generator")
    stems = {
        "train": f"spanish.train.{options.size}",
        "dev": "spanish.dev",
        "test": "spanish.test",
    }
    notes: Counter[str] = Counter()
    splits = {}
    for split, stem in stems.items():
        # The generator writes no ending; copies add one.
        path = need_file(folder, stem, f"{stem}.tsv", f"{stem}.txt")
        splits[split] = list(_examples(path, split, notes))

    # Fewer words, and a pair instead of a text.
    if options.text == "two sentences":
        splits = {name: [_first_two(each) for each in some] for name, some in splits.items()}
    return finish("mldoc", TASK, LABELS, splits, notes)


def _examples(path: Path, split: str, notes: Counter[str]) -> Iterator[Example]:
    """Yield the documents of a file."""
    label_column, text_column = 0, 1
    for number, line in enumerate(open_text(path), 1):
        cells = line.split("\t")

        # A header is not usual, but says where the columns are.
        names = [cell.strip().lower() for cell in cells]
        if number == 1 and "label" in names and len(names) == 2:
            label_column = names.index("label")
            text_column = 1 - label_column
            continue

        if not line.strip():
            continue
        if len(cells) < 2:
            raise DataError(
                f"{path}, line {number}: one column, a row is a topic, a tab and the text"
            )

        # A tab inside the text makes more columns; the topic is then the first.
        label, text = cells[0], " ".join(cells[1:])
        if len(cells) == 2:
            label, text = cells[label_column], cells[text_column]
        if label.strip() not in LABELS:
            raise DataError(
                f"{path}, line {number}: topic '{label[:40]}' is none of {', '.join(LABELS)}"
            )

        # Blanks are collapsed, as the published systems did.
        text = " ".join(_decode(text.strip(), path, number, notes).split())
        if text:
            yield Example(f"{split}-{number}", text, target=label.strip())
        else:
            notes["rows without text, dropped"] += 1


def _first_two(example: Example) -> Example:
    """Return an example of the first two sentences of its text; of one alone where it has one."""
    first, second, *_ = [*split_sentences(example.text), "", ""]
    return replace(example, text=first, pair=second or None)


def _decode(text: str, path: Path, number: int, notes: Counter[str]) -> str:
    """Decode a text that was written as a Python bytes literal; return any other as it is."""
    # Generators run with Python 3 write texts as b'...'.
    if not _BYTES.fullmatch(text):
        return text
    try:
        decoded = ast.literal_eval(text).decode("utf-8")
    except (SyntaxError, ValueError) as error:
        raise DataError(
            f"{path}, line {number}: a damaged bytes literal {text[:40]!r}: generate the file again"
        ) from error
    notes["texts decoded from a Python bytes literal"] += 1
    return str(decoded)
