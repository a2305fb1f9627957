"""The answer that needs no text."""

from __future__ import annotations

import numpy as np
import pytest

from destila.baselines import majority
from destila.errors import DataError
from destila.types import Example


def test_the_most_frequent_label_is_the_answer_to_everything():
    """With the shares of the training split as probabilities; it costs nothing."""
    targets = ["no"] * 7 + ["sí"] * 2 + ["?"]
    train = [Example(str(i), f"t{i}", target=target) for i, target in enumerate(targets)]
    fitted = majority.fit(train, ("?", "no", "sí"))
    one, two = fitted.predict([Example("a", "Hola."), Example("b", "")])
    assert one.labels == two.labels == ("no",)
    assert np.allclose(one.probabilities, [[0.1, 0.7, 0.2]])
    assert fitted.parameters == fitted.size_bytes == 0


def test_of_several_labels_the_best_frequent_ones_are_given():
    """Two labels that most texts have are worth giving, a rare one is not."""
    sets = [("a", "b")] * 6 + [("a",)] * 2 + [("b", "c"), ()]
    train = [Example(str(i), f"t{i}", target=each) for i, each in enumerate(sets)]
    (answer,) = majority.fit(train, ("c", "b", "a")).predict([Example("x", "Hola.")])
    assert sorted(answer.labels) == ["a", "b"]
    assert np.allclose(answer.probabilities, [[0.1, 0.7, 0.8]])


def test_nothing_to_count_is_an_error():
    """A split without labels has no most frequent one."""
    with pytest.raises(DataError, match="needs labelled examples"):
        majority.fit([Example("a", "Hola.")], ("no", "sí"))
