"""Readers: rows of examples from the logits of windows, and what is made of rows."""

import numpy as np
import pytest

from destila.errors import ConfigError
from destila.tasks.readers import ClassifyReader, TagReader, reader
from destila.types import Example


def test_the_gold_loss_is_the_mean_cross_entropy_over_units():
    rows = [np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])]
    examples = [Example("0", "", target="a"), Example("1", "", target="a")]
    expected = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(3.0))) / 2
    assert ClassifyReader().loss(examples, rows, ["a", "b"]) == pytest.approx(expected)
    tagged = [Example("0", "", words=((0, 1), (1, 2)), target=("a", "b"))]
    logits = np.array([[2.0, 0.0], [0.0, 3.0]])
    expected = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(-3.0))) / 2
    assert TagReader().loss(tagged, [logits], ["a", "b"]) == pytest.approx(expected)


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_a_reader_is_found_by_the_name_of_its_task(task):
    assert reader(task).name == task


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(ConfigError, match="no task is called 'parse': known are classify, tag"):
        reader("parse")
