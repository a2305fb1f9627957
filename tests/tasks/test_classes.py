"""One class per unit: predictions from logits."""

from __future__ import annotations

import numpy as np
import pytest

from destila.tasks.classes import best_classes


def test_probabilities_are_the_softmax_of_the_logits():
    (prediction,) = best_classes([np.array([[0.0, np.log(3.0)], [1.0, 1.0]])], ["a", "b"])
    assert prediction.labels == ("b", "a")
    assert prediction.probabilities == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_large_logits_do_not_overflow():
    (prediction,) = best_classes([np.array([[1e4, -1e4]], np.float16)], ["a", "b"])
    assert prediction.probabilities.tolist() == [[1.0, 0.0]]


def test_an_example_without_units_has_no_labels():
    (prediction,) = best_classes([np.zeros((0, 3))], ["a", "b", "c"])
    assert prediction.labels == ()
    assert prediction.probabilities.shape == (0, 3)
