"""Typed results: named parts, and the printed object."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from destila.results import (
    AnswerResult,
    LabelResult,
    LabelsResult,
    RefusedResult,
    SpansResult,
    TextSpan,
)

RESULTS = {
    "label": (
        LabelResult("0", "Hola", "sí", {"no": 0.25, "sí": 0.75}),
        {"id": "0", "text": "Hola", "label": "sí", "probabilities": {"no": 0.25, "sí": 0.75}},
    ),
    "pair": (
        LabelResult("0", "a", "sí", {"sí": 1.0}, pair="b", warning="cut"),
        {
            "id": "0",
            "text": "a",
            "pair": "b",
            "label": "sí",
            "probabilities": {"sí": 1.0},
            "warning": "cut",
        },
    ),
    "labels": (
        LabelsResult("0", "a", (), {"x": 0.1}),
        {"id": "0", "text": "a", "labels": [], "probabilities": {"x": 0.1}},
    ),
    "spans": (
        SpansResult("0", "Ana vive", (TextSpan(0, 3, "PER", "Ana", 0.9),)),
        {
            "id": "0",
            "text": "Ana vive",
            "spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ana", "probability": 0.9}],
        },
    ),
    "refused": (RefusedResult("0", "too long"), {"id": "0", "error": "too long"}),
    "answer": (
        AnswerResult("0", "", 0, 0, 0.1, 0.9),
        {
            "id": "0",
            "answer": "",
            "start": 0,
            "end": 0,
            "probability": 0.1,
            "null_probability": 0.9,
        },
    ),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_is_written_as_it_is_documented(kind):
    """Parts in their order; pair and warning only where there are some."""
    result, expected = RESULTS[kind]
    assert json.dumps(result.to_dict()) == json.dumps(expected)


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_cannot_be_changed(kind):
    with pytest.raises(FrozenInstanceError):
        RESULTS[kind][0].id = "1"


def test_a_label_has_its_probability():
    assert RESULTS["label"][0].probability == 0.75
