"""A baseline for classification: logistic regression over TF-IDF of words and characters.

Words in runs of one and two, characters in runs of three and four inside words; log counts, idf,
rows of length 1 (Manning, Raghavan and Schütze 2008, chapter 6). A pair is the features of both
texts, of what they share (the smaller of the two values of each feature) and of what only one has,
with the shares of common words.
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

        weights = int(model.coef_.size + model.intercept_.size)
        self.parameters, self.size_bytes = count_parameters_and_bytes(vectorizers, weights)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predict the likeliest label of each example, with probabilities [1, C]."""
        if not examples:
            return []

        # The model knows the labels of its training examples, which may not be all.
        columns = [self.labels.index(label) for label in self._model.classes_]
        probabilities = np.zeros((len(examples), len(self.labels)))  # [N, C]
        matrix = tfidf_matrix(self._vectorizers, examples)
        probabilities[:, columns] = self._model.predict_proba(matrix)
        return [Prediction((self.labels[int(row.argmax())],), row[None]) for row in probabilities]


def fit(train: Sequence[Example], labels: Sequence[str], *, seed: int = 0) -> Tfidf:
    """Train the baseline on labelled examples.

    Args:
        train: single texts or pairs with a label each.
        labels: all labels, in the order of the probabilities.
        seed: of the solver.

    Raises:
        DataError: a label is missing or unknown, or there is a single class or no word at all.
    """
    targets = [_checked_label(example, labels) for example in train]
    if len(set(targets)) < 2:
        raise DataError(
            "the TF-IDF baseline needs two labels to learn from, the training split has "
            f"{len(set(targets))}"
        )

    vectorizers = fit_vectorizers(train)
    linear = require("sklearn.linear_model", "baseline")
    model = linear.LogisticRegression(C=10.0, max_iter=500, random_state=seed)
    model.fit(tfidf_matrix(vectorizers, train), targets)
    return Tfidf(vectorizers, model, labels)


def fit_vectorizers(train: Sequence[Example]) -> list[Any]:
    """Return what turns texts into features, fitted on training examples.

    Raises:
        DataError: there is no word at all.
    """
    # Words in runs of one and two, characters in runs of three and four.
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
    texts = _texts(train)
    try:
        for vectorizer in vectorizers:
            vectorizer.fit(texts)
    except ValueError as error:  # scikit-learn's word for a vocabulary without entries
        raise DataError("the TF-IDF baseline found no word in the training split") from error
    return vectorizers


def count_parameters_and_bytes(vectorizers: Sequence[Any], weights: int) -> tuple[int, int]:
    """Return the parameters of a model over TF-IDF, and its bytes, vocabulary included.

    Args:
        vectorizers: fitted.
        weights: of the linear model.
    """
    parameters = weights + sum(len(v.idf_) for v in vectorizers)
    vocabulary = sum(len(term.encode()) + 1 for v in vectorizers for term in v.vocabulary_)
    return parameters, 4 * parameters + vocabulary


def tfidf_matrix(vectorizers: Sequence[Any], examples: Sequence[Example]) -> Any:
    """Return the sparse matrix [N, features] of single texts or of pairs."""
    sparse = require("scipy.sparse", "baseline")

    def features_of(texts: list[str]) -> Any:
        """Return the features of single texts, [N, F]."""
        return sparse.hstack([v.transform(texts) for v in vectorizers], format="csr")

    first = features_of([example.text for example in examples])  # [N, F]
    if all(example.pair is None for example in examples):
        return first

    # What both texts of a pair have, and what only one has.
    second = features_of([example.pair or "" for example in examples])  # [N, F]
    common = first.minimum(second)
    alone = abs(first - second)
    shares = [_overlap(example.text, example.pair or "") for example in examples]
    overlap = sparse.csr_matrix(shares, dtype=np.float32)  # [N, 3]
    return sparse.hstack([first, second, common, alone, overlap], format="csr")


def _texts(examples: Sequence[Example]) -> list[str]:
    """List the texts of all examples, both of a pair."""
    texts = []
    for example in examples:
        texts.append(example.text)
        if example.pair is not None:
            texts.append(example.pair)
    return texts


def _overlap(a: str, b: str) -> tuple[float, float, float]:
    """Return common words as a share of all words, of the first text's and of the second's."""
    x, y = set(_WORD.findall(a.lower())), set(_WORD.findall(b.lower()))
    common = len(x & y)
    return common / max(1, len(x | y)), common / max(1, len(x)), common / max(1, len(y))


def _checked_label(example: Example, labels: Sequence[str]) -> str:
    """Return the label of an example; raise DataError when it is missing or unknown."""
    if not isinstance(example.target, str):
        raise DataError(
            f"example '{example.id}' has no label: the TF-IDF baseline needs labelled examples"
        )
    if example.target not in labels:
        raise DataError(
            f"example '{example.id}' has the label '{example.target}', not one of "
            f"{', '.join(labels)}"
        )
    return example.target
