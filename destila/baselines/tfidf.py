"""A baseline for classification: logistic regression over TF-IDF of words and characters.

Words in runs of one and two, characters in runs of three and four inside words; log counts, idf, rows of length 1
(Manning, Raghavan and Schütze 2008, chapter 6). A pair is the features of both texts, of what they share (the
smaller of the two values of each feature) and of what only one has, with the shares of common words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from destila.errors import DataError, require
from destila.types import Example, Prediction

_MOST_WORDS, _MOST_RUNS = 60_000, 40_000  # the most frequent ones are kept
_WORD = re.compile(r"\w+")


class Tfidf:
    """A trained baseline. `size_bytes`: weights and idf in float32 and the vocabulary in UTF-8."""

    name = "tfidf"

    def __init__(self, vectorizers: Sequence[Any], model: Any, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._vectorizers = vectorizers
        self._model = model
        idf = sum(len(v.idf_) for v in vectorizers)
        self.parameters = int(model.coef_.size + model.intercept_.size + idf)
        vocabulary = sum(len(term.encode()) + 1 for v in vectorizers for term in v.vocabulary_)
        self.size_bytes = 4 * self.parameters + vocabulary

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """The likeliest label of each example, with probabilities [1, C]."""
        if not examples:
            return []
        columns = [self.labels.index(label) for label in self._model.classes_]
        probabilities = np.zeros((len(examples), len(self.labels)))
        probabilities[:, columns] = self._model.predict_proba(features(self._vectorizers, examples))
        return [Prediction((self.labels[int(row.argmax())],), row[None]) for row in probabilities]


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Tfidf:
    """The baseline of some labelled examples; raises DataError on a missing or unknown label, or a single class."""
    targets = [_target(example, labels) for example in train]
    if len(set(targets)) < 2:
        raise DataError(
            f"the TF-IDF baseline needs two labels to learn from, the training split has {len(set(targets))}"
        )
    texts = [text for e in train for text in ((e.text,) if e.pair is None else (e.text, e.pair))]
    text = require("sklearn.feature_extraction.text", "baseline")
    shared = {"sublinear_tf": True, "dtype": np.float32}
    vectorizers = [
        text.TfidfVectorizer(
            token_pattern=r"\w+", ngram_range=(1, 2), max_features=_MOST_WORDS, **shared
        ),
        text.TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 4), max_features=_MOST_RUNS, **shared
        ),
    ]
    try:
        for vectorizer in vectorizers:
            vectorizer.fit(texts)
    except ValueError as error:  # scikit-learn's word for a vocabulary without entries
        raise DataError("the TF-IDF baseline found no word in the training split") from error
    linear = require("sklearn.linear_model", "baseline")
    model = linear.LogisticRegression(C=10.0, max_iter=500, random_state=seed)
    model.fit(features(vectorizers, train), targets)
    return Tfidf(vectorizers, model, labels)


def features(vectorizers: Sequence[Any], examples: Sequence[Example]) -> Any:
    """The sparse matrix [N, features] of single texts or of pairs."""
    sparse = require("scipy.sparse", "baseline")
    first = sparse.hstack(
        [v.transform([e.text for e in examples]) for v in vectorizers], format="csr"
    )
    if all(e.pair is None for e in examples):
        return first
    second = sparse.hstack(
        [v.transform([e.pair or "" for e in examples]) for v in vectorizers], format="csr"
    )
    common = first.minimum(second)
    alone = abs(first - second)
    overlap = sparse.csr_matrix(
        [_overlap(e.text, e.pair or "") for e in examples], dtype=np.float32
    )
    return sparse.hstack([first, second, common, alone, overlap], format="csr")


def _overlap(a: str, b: str) -> tuple[float, float, float]:
    """Common words as a share of all words, of the first text's and of the second's."""
    x, y = set(_WORD.findall(a.lower())), set(_WORD.findall(b.lower()))
    common = len(x & y)
    return common / max(1, len(x | y)), common / max(1, len(x)), common / max(1, len(y))


def _target(example: Example, labels: Sequence[str]) -> str:
    if not isinstance(example.target, str):
        raise DataError(
            f"example '{example.id}' has no label: the TF-IDF baseline needs labelled examples"
        )
    if example.target not in labels:
        raise DataError(
            f"example '{example.id}' has the label '{example.target}', not one of {', '.join(labels)}"
        )
    return example.target
