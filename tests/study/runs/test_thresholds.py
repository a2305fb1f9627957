"""How sure a classifier must be."""

from __future__ import annotations

import numpy as np
import pytest

from destila.model_folder import read_folder
from destila.study.runs.thresholds import dev_thresholds
from destila.study.runs.training import train
from destila.types import Example, Prediction
from tests.fixtures.studies import plans_of


def made(rows: list[tuple[float, bool]]) -> tuple[list[Example], list[Prediction]]:
    examples = [Example(str(i), "t", target="a") for i in range(len(rows))]
    predictions = [
        Prediction(("a" if right else "b",), np.array([[p, 1 - p]])) for p, right in rows
    ]
    return examples, predictions


def test_the_lowest_threshold_that_reaches_a_precision():
    """Right above 0.9, every other one below it: each row keeps its promise, with the largest share."""
    rows = [(0.9 + i / 1000, True) for i in range(60)]
    rows += [(0.6 + i / 1000, i % 2 == 0) for i in range(40)]
    table = dev_thresholds(*made(rows))
    assert [row["precision"] for row in table] == [0.8, 0.9, 0.95, 0.98, 0.99]
    assert table[0] == {"precision": 0.8, "min_probability": 0.0, "share": 1.0}
    for row in table:
        kept = [right for p, right in rows if p >= row["min_probability"]]
        assert len(kept) / 100 == pytest.approx(row["share"])
        assert np.mean(kept) >= row["precision"]
    assert 0.6 < table[2]["min_probability"] < 0.9


def test_what_dev_does_not_reach_has_no_threshold():
    """Nor has a share of a handful of texts, nor data without single labels."""
    assert dev_thresholds(*made([(0.9, i % 2 == 0) for i in range(50)])) == []
    few = [(0.99, True)] * 5 + [(0.5, False)] * 50
    assert dev_thresholds(*made(few)) == []
    assert dev_thresholds([Example("a", "t")], made([(0.9, True)])[1]) == []


def test_a_trained_classifier_knows_its_thresholds(tiny, monkeypatch):
    """They stand in its folder, those of the weights that were kept."""
    row = {"precision": 0.9, "min_probability": 0.5, "share": 0.7}
    monkeypatch.setattr("destila.study.runs.logbook.dev_thresholds", lambda *_: [row])
    (plan,) = plans_of(tiny(), "teachers=[]", "train.epochs=1")
    assert read_folder(train(plan).folder).extra["thresholds"] == [row]
