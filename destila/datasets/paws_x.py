"""PAWS-X, Spanish part: two sentences of nearly the same words, of one meaning (1) or two (0).

source: PAWS-X `es/translated_train.tsv` (49,401), `dev_2k.tsv`, `test_2k.tsv`
licence: free for any purpose, credit to Google   paper: Yang et al., 2019
notes: tab separated, no quoting (a `"` is a character). dev and test are human translations in
which a failed pair holds the placeholder `NS` (38 in dev, 1 in test: 1,962 / 1,999 remain, as in
GLUES; the papers count 2,000 / 2,000, see `placeholder`). The machine translated train file has
empty sentences, which are dropped. Without it, dev is cross-validated: fold `fold` of `folds` (by
hash of the first sentence) is dev, the others train.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._split import finish, position
from destila.errors import DataError
from destila.files import open_text
from destila.formats.columns import tsv_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("0", "1")
PLACEHOLDER = "NS"


class Options(_Options):
    """Where the files are, what trains, what happens to failed translations."""

    root: str | None = root_option("paws_x_es")
    placeholder: Literal["drop", "keep"] = opt(
        "drop", "pairs with the placeholder NS for a sentence"
    )
    folds: int = opt(5, "parts of dev, when there is no training file", ge=2)
    fold: int = opt(0, "the part that is dev; the others train", ge=0)

    @model_validator(mode="after")
    def _fold_exists(self) -> Options:
        """Refuse a fold that is not one of the folds."""
        # The two options are checked together, before any file is read.
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist: folds are 0 to {self.folds - 1}")
        return self


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing, a row is faulty or a label is unknown.
    """
    folder = find_folder(options.root, "paws_x_es", "PAWS-X")
    notes: Counter[str] = Counter()
    keep = options.placeholder == "keep"
    dev = _examples(need_file(folder, "dev_2k.tsv"), "dev", keep, notes)
    test = _examples(need_file(folder, "test_2k.tsv"), "test", keep, notes)

    # The published training file is machine-translated, and large: it is optional.
    translated = find_file(folder, "translated_train.tsv")
    if translated is not None:
        train = _examples(translated, "train", keep, notes)
        return finish("paws_x", TASK, LABELS, {"train": train, "dev": dev, "test": test}, notes)

    # Without a training file one fold of dev is dev, the others train.
    folds = [int(position(example.text) * options.folds) for example in dev]
    train = [e for e, fold in zip(dev, folds, strict=True) if fold != options.fold]
    dev = [e for e, fold in zip(dev, folds, strict=True) if fold == options.fold]
    notes["dev pairs used for training, as there is no training file"] += len(train)
    return finish("paws_x", TASK, LABELS, {"train": train, "dev": dev, "test": test}, notes)


def _examples(path: Path, split: str, keep: bool, notes: Counter[str]) -> list[Example]:
    """Read the pairs of a file; keep: those with the placeholder."""
    rows = tsv_rows(open_text(path), str(path), ["id"], ["sentence1"], ["sentence2"], ["label"])
    examples = []
    for number, row in rows:
        # Blanks around a cell would hide the placeholder.
        cells = (row[name].strip() for name in ("sentence1", "sentence2", "label"))
        first, second, label = cells
        if label not in LABELS:
            raise DataError(f"{path}, line {number}: label '{label}' is neither 0 nor 1")

        # Failed translations are placeholders in dev and test, empty in train.
        if PLACEHOLDER in (first, second) and not keep:
            notes[f"{split} pairs with the placeholder NS, dropped"] += 1
        elif not first or not second:
            notes[f"{split} pairs with an empty sentence, dropped"] += 1
        else:
            examples.append(Example(f"{split}-{row['id']}", first, pair=second, target=label))
    return examples
