"""Exact match and F1: golden cases of the official and of MLQA's behaviour."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from destila.tasks.span.answer_scores import official, per_question, question, scores, spanish

CASES = json.loads(
    (Path(__file__).parents[2] / "golden" / "squad_score.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[c["case"] for c in CASES])
def test_scores_are_the_golden_ones(case):
    for name, normalise in (("official", official), ("spanish", spanish)):
        found = question(case["answer"], case["references"], normalise, v2=case["v2"])
        assert found == pytest.approx(case[name]), name


def test_means_are_over_questions_and_v1_has_no_v2_keys():
    found = scores(["la casa", "Madrid", ""], [["casa"], ["Madrid", "Toledo"], ["Lima"]])
    assert found == pytest.approx(
        {"exact_match": 1 / 3, "f1": (2 / 3 + 1) / 3, "exact_match_es": 2 / 3, "f1_es": 2 / 3}
    )


def test_v2_scores_tell_answerable_questions_from_others():
    found = scores(["Madrid", "", "Lima", "de Lima"], [["Madrid"], [], [], ["Lima"]])
    assert found["exact_match"] == pytest.approx(2 / 4)
    assert found["has_answer_em"] == pytest.approx(1 / 2)
    assert found["has_answer_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["no_answer_accuracy"] == pytest.approx(1 / 2)


def test_one_question_without_an_answer_makes_all_count_as_v2():
    assert per_question(["the", ""], [["the"], []], official).tolist() == [[1, 1], [1, 1]]
    assert np.array_equal(per_question(["the"], [["the"]], official), [[1, 0]])
