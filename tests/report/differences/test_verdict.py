"""A student beside its twin and the baseline: from records made by hand."""

from __future__ import annotations

import pytest

from destila.report import sections
from destila.report.differences.verdict import judge, judge_best
from destila.report.rows import group_rows
from tests.report.conftest import record


def verdict_of(distilled, *others):
    return judge(distilled, group_rows([distilled, *others]))


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (90, "beats its twin without a teacher (40.00: +50.00 ["),
        (41, "is not told apart from its twin without a teacher (40.00: +1.00 ["),
        (5, "loses to its twin without a teacher (40.00: -35.00 ["),
    ],
)
def test_a_claim_needs_an_interval_on_one_side_of_zero(right, words):
    verdict = verdict_of(
        record(right=right, total=100), record(role="finetuned", right=40, total=100)
    )
    assert words in verdict.sentence()
    assert verdict.sentence().endswith("and has no baseline to be compared with.")
    assert verdict.behind_twin == pytest.approx(max(0.0, (40 - right) / 100))


def test_without_items_the_mean_decides():
    verdict = verdict_of(
        record(right=6, items=()), record(role="baseline", model="crf", right=5, items=())
    )
    assert "beats the baseline crf (50.00: +10.00)" in verdict.sentence()
    assert "has no twin without a teacher" in verdict.sentence()


def test_the_twin_may_be_another_students():
    """Where the recipe says `compare = false`, a student of the same start has the twin."""
    start = {"model": "big", "layers": 3}
    ours = record(model="other", right=9, config={"model": {"name": "other", **start}})
    twin = record(role="finetuned", config={"model": {"name": "tiny", **start, "train": {}}})
    deeper = record(role="finetuned", model="deep", config={"model": {**start, "layers": 6}})
    assert verdict_of(ours, deeper, twin).twin.b.first is twin
    assert verdict_of(ours, deeper).twin is None


def test_an_exported_model_answers_for_its_student():
    student, twin = record(right=5), record(role="finetuned", right=6)
    exported = record(role="exported", model="tiny", details={"of": student.run})
    rows = group_rows([student, twin, exported])
    assert judge(exported, rows).behind_twin == pytest.approx(0.1)
    assert judge(record(role="teacher"), rows) is None


def test_the_first_sentence_is_of_the_best_distilled_student():
    rows = group_rows([record(right=5), record(model="b", right=7), record("finetuned", right=9)])
    assert judge_best(rows).student.model == "b"
    assert sections.opening_sentence(rows).startswith("b (distilled), accuracy 70.00, has no twin")
    assert sections.first_sentence(group_rows([record(role="teacher")])) == ""
