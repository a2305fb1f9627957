"""A baseline for tagging: a linear-chain conditional random field over word features.

Lafferty, McCallum and Pereira 2001. Features of a word are its lower-case form, prefixes and suffixes, shape and
signs, and the forms and shapes of the two words on each side. Trained by python-crfsuite (L-BFGS, L1 and L2
penalties); the model lives in memory as CRFsuite's own bytes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from destila.errors import DataError, require
from destila.types import Example, Prediction

_REPEATED = re.compile(r"(.)\1+")
_OPTIONS = {"c1": 0.1, "c2": 0.05, "max_iterations": 80, "feature.possible_transitions": True}


class Crf:
    """A trained CRF. `parameters` counts its non-zero weights."""

    name = "crf"

    def __init__(self, model: bytes, labels: Sequence[str], parameters: int) -> None:
        self.labels = tuple(labels)
        self.parameters = parameters
        self.size_bytes = len(model)
        self._model = model  # the tagger reads from these bytes
        self._tagger = require("pycrfsuite", "baseline").Tagger()
        self._tagger.open_inmemory(model)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """The best tag sequence of each example, with the marginal probability of every tag [U, C]."""
        return [self._one(example) for example in examples]

    def _one(self, example: Example) -> Prediction:
        probabilities = np.zeros((len(example.words), len(self.labels)))
        if not example.words:
            return Prediction((), probabilities)
        best = self._tagger.tag(features(words_of(example)))
        for label in self._tagger.labels():
            column = self.labels.index(label)
            probabilities[:, column] = [self._tagger.marginal(label, i) for i in range(len(best))]
        return Prediction(tuple(best), probabilities / probabilities.sum(1, keepdims=True))


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Crf:  # noqa: ARG001
    """The CRF of some tagged examples; training is deterministic, so the seed changes nothing.

    Raises DataError when an example has no tags or one that is not in labels.
    """
    trainer = require("pycrfsuite", "baseline").Trainer(verbose=False)
    trainer.set_params(_OPTIONS)
    words = 0
    for example in train:
        trainer.append(features(words_of(example)), _tags(example, labels))
        words += len(example.words)
    if not words:
        raise DataError(
            "the CRF baseline has no tagged word to learn from: check the training split"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        trainer.train(str(path))
        model = path.read_bytes()
    return Crf(model, labels, int(trainer.logparser.last_iteration["active_features"]))


def words_of(example: Example) -> list[str]:
    """The words of an example as strings."""
    return [example.text[start:end] for start, end in example.words]


def features(words: Sequence[str]) -> list[list[str]]:
    """The features of each word, as strings that CRFsuite takes for true."""
    own = [_word(word) for word in words]
    near = [(word.lower(), _shape(word)) for word in words]
    rows = []
    for i, row in enumerate(own):
        row = ["bias", *row]
        for step in (-2, -1, 1, 2):
            if 0 <= i + step < len(words):
                lower, shape = near[i + step]
                row += [f"{step}:w={lower}", f"{step}:shape={shape}"]
            elif abs(step) == 1:
                row.append(f"{step}:edge")
        if i:
            row.append(f"-1|0={near[i - 1][0]}|{near[i][0]}")
        if i + 1 < len(words):
            row.append(f"0|1={near[i][0]}|{near[i + 1][0]}")
        rows.append(row)
    return rows


def _word(word: str) -> list[str]:
    lower, shape = word.lower(), _shape(word)
    found = [f"w={lower}", f"shape={shape}", "short=" + _REPEATED.sub(r"\1", shape)]
    found += [f"suf={lower[-n:]}" for n in range(1, 5) if len(lower) > n]
    found += [f"pre={lower[:n]}" for n in range(1, 5) if len(lower) > n]
    signs = {
        "upper": word.isupper(),
        "title": word[:1].isupper(),
        "digit": any(c.isdigit() for c in word),
    }
    signs["mark"] = not any(c.isalnum() for c in word)
    return found + [name for name, true in signs.items() if true]


def _shape(word: str) -> str:
    """Upper-case letters as X, lower-case as x, digits as 9, the rest as itself: `Años90` -> `Xxxx99`."""
    return "".join(
        "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word
    )


def _tags(example: Example, labels: Sequence[str]) -> list[str]:
    if not isinstance(example.target, tuple) or len(example.target) != len(example.words):
        raise DataError(
            f"example '{example.id}' has no tag for every word: the CRF baseline needs tagged examples"
        )
    for tag in example.target:
        if tag not in labels:
            raise DataError(
                f"example '{example.id}' has the tag '{tag}', which is not one of {', '.join(labels)}"
            )
    return list(example.target)
