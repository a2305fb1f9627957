"""A baseline for tagging: a linear-chain conditional random field over word features.

Lafferty, McCallum and Pereira 2001. Features of a word are its lower-case form, prefixes and
suffixes, shape and signs, and the forms and shapes of the two words on each side. Trained by
python-crfsuite (L-BFGS, L1 and L2 penalties); the model lives in memory as CRFsuite's own bytes.
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
        """Predict the best tags of each example, with the probability of every tag [U, C]."""
        return [self._predict_one(example) for example in examples]

    def _predict_one(self, example: Example) -> Prediction:
        """Tag one example; its probabilities are [U, C]."""
        probabilities = np.zeros((len(example.words), len(self.labels)))  # [U, C]
        if not example.words:
            return Prediction((), probabilities)

        # The tagger knows the tags of its training examples, which may not be all.
        best = self._tagger.tag(word_features(words_of(example)))
        for label in self._tagger.labels():
            marginals = [self._tagger.marginal(label, i) for i in range(len(best))]
            probabilities[:, self.labels.index(label)] = marginals
        return Prediction(tuple(best), probabilities / probabilities.sum(1, keepdims=True))


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Crf:  # noqa: ARG001
    """Train a CRF on tagged examples.

    Args:
        train: examples with a tag for every word.
        labels: all tags, in the order of the probabilities.
        seed: changes nothing; training is deterministic.

    Raises:
        DataError: an example has no tags or one that is not in `labels`.
    """
    trainer = require("pycrfsuite", "baseline").Trainer(verbose=False)
    trainer.set_params(_OPTIONS)
    words = 0
    for example in train:
        trainer.append(word_features(words_of(example)), _checked_tags(example, labels))
        words += len(example.words)
    if not words:
        raise DataError(
            "the CRF baseline has no tagged word to learn from: check the training split"
        )

    # The trainer writes files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        trainer.train(str(path))
        model = path.read_bytes()
    return Crf(model, labels, int(trainer.logparser.last_iteration["active_features"]))


def words_of(example: Example) -> list[str]:
    """Return the words of an example as strings."""
    return [example.text[start:end] for start, end in example.words]


def word_features(words: Sequence[str]) -> list[list[str]]:
    """Compute the features of each word, as strings that CRFsuite takes for true."""
    lowers = [word.lower() for word in words]
    shapes = [_shape(word) for word in words]

    rows = []
    for i, word in enumerate(words):
        row = ["bias", *_features_of(word)]

        # Two words on each side, or the edge of the sentence.
        for step in (-2, -1, 1, 2):
            place = i + step
            if 0 <= place < len(words):
                row += [f"{step}:w={lowers[place]}", f"{step}:shape={shapes[place]}"]
            elif abs(step) == 1:
                row.append(f"{step}:edge")

        # The word together with its neighbours.
        if i:
            row.append(f"-1|0={lowers[i - 1]}|{lowers[i]}")
        if i + 1 < len(words):
            row.append(f"0|1={lowers[i]}|{lowers[i + 1]}")
        rows.append(row)
    return rows


def _features_of(word: str) -> list[str]:
    """Compute the features of a word alone."""
    lower, shape = word.lower(), _shape(word)
    features = [f"w={lower}", f"shape={shape}", "short=" + _REPEATED.sub(r"\1", shape)]
    features += [f"suf={lower[-n:]}" for n in range(1, 5) if len(lower) > n]
    features += [f"pre={lower[:n]}" for n in range(1, 5) if len(lower) > n]

    signs = {
        "upper": word.isupper(),
        "title": word[:1].isupper(),
        "digit": any(c.isdigit() for c in word),
        "mark": not any(c.isalnum() for c in word),
    }
    return features + [name for name, is_true in signs.items() if is_true]


def _shape(word: str) -> str:
    """Write upper-case letters as X, lower-case ones as x, digits as 9: `Años90` is `Xxxx99`."""
    return "".join(map(_shape_of, word))


def _shape_of(character: str) -> str:
    """Return the class of a character: capital, small letter, digit, or itself."""
    if character.isupper():
        return "X"
    if character.isalpha():
        return "x"
    return "9" if character.isdigit() else character


def _checked_tags(example: Example, labels: Sequence[str]) -> list[str]:
    """Return the tags of an example; raise DataError when they are missing or unknown."""
    if not isinstance(example.target, tuple) or len(example.target) != len(example.words):
        raise DataError(
            f"example '{example.id}' has no tag for every word: the CRF baseline needs tagged "
            "examples"
        )
    for tag in example.target:
        if tag not in labels:
            raise DataError(
                f"example '{example.id}' has the tag '{tag}', which is not one of "
                f"{', '.join(labels)}"
            )
    return list(example.target)
