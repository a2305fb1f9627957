"""A regression for every label over TF-IDF."""

from __future__ import annotations

import numpy as np
import pytest

from destila import baselines
from destila.baselines import tfidf_labels
from destila.errors import DataError
from destila.types import Example

WORDS = {"comida": "el pan caliente", "precio": "la cuenta cara", "trato": "un guía amable"}
SETS = [(), ("comida",), ("precio",), ("comida", "precio"), ("trato",), ("precio", "trato")]


def _examples(count):
    for n in range(count):
        chosen = SETS[n % len(SETS)]
        text = " y ".join(WORDS[label] for label in chosen) or "nada que decir"
        yield Example(str(n), f"{text}, número {n}", target=chosen)


def test_each_label_is_found_for_itself():
    """Texts with none, one and two labels; probabilities are those of every label."""
    train = list(_examples(90))
    fitted = baselines.baseline_of("tfidf_labels").fit(train, tuple(WORDS))
    unseen = [
        Example("a", "Pan caliente, pan"),
        Example("b", "La cuenta del guía amable"),
        Example("c", "nada"),
    ]
    answers = fitted.predict(unseen)
    assert [answer.labels for answer in answers] == [("comida",), ("precio", "trato"), ()]
    assert answers[0].probabilities.shape == (1, 3)
    assert fitted.size_bytes > 4 * fitted.parameters > 0


def test_a_label_that_every_text_has_is_given_to_all():
    train = [Example(e.id, e.text, target=(*e.target, "todo")) for e in _examples(30)]
    fitted = tfidf_labels.fit(train, ("todo", "comida", "nunca"))
    (answer,) = fitted.predict([Example("a", "cualquier cosa")])
    assert "todo" in answer.labels
    assert "nunca" not in answer.labels
    assert np.allclose(answer.probabilities[0, [0, 2]], [1.0, 0.0])


def test_an_unlabelled_text_is_refused():
    with pytest.raises(DataError, match="has no labels"):
        tfidf_labels.fit([Example("a", "hola")], ("x", "y"))
