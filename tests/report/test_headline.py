"""The first thing a report says: the model to take, its costs and gains."""

from __future__ import annotations

import pytest

from destila.report import sections
from destila.report.headline import headline_section, headline_sentence
from destila.report.rows import group_rows


@pytest.fixture
def roles(record, latency):
    """A study by its scores: `roles(distilled=80, baseline=70)`."""

    def make(**right):
        scores = {"teacher": 95, "distilled": 80, "finetuned": 60, "baseline": 70} | right
        names = {"teacher": "big", "baseline": "tfidf"}
        return group_rows(
            record(role, names.get(role, "tiny"), right=n, total=100, latency=(latency(4.0),))
            for role, n in scores.items()
            if n
        )

    return make


def facts(rows):
    section = headline_section(rows)
    return dict(zip(section.header, section.body[0], strict=True))


def test_the_best_student_is_taken_with_its_gains(roles):
    told = facts(roles())
    assert told["model"] == "tiny (distilled)"
    assert (told["accuracy"], told["ms (p95)"], told["of the teacher"]) == (
        "80.00",
        "4.00 (8.00)",
        "84.2 %",
    )
    assert told["over its twin"].startswith("+20.00 [")
    assert told["over the baseline"].startswith("+10.00 [")
    assert headline_sentence(roles()) == "Take tiny (distilled): 80.00 accuracy, 0.00 MB, 4.00 ms."


@pytest.mark.parametrize("right", [80, 90])
def test_a_baseline_that_scores_as_much_is_taken(roles, right):
    assert facts(roles(baseline=right))["model"] == "tfidf (baseline)"
    assert "over the baseline" not in facts(roles(baseline=right))


def test_a_student_without_twin_or_baseline_has_no_gain(roles):
    told = facts(roles(finetuned=0, baseline=0, teacher=0))
    assert not {"over its twin", "over the baseline", "of the teacher", "speed-up"} & set(told)


@pytest.mark.parametrize(("right", "taken"), [(79, "exported"), (70, "distilled")])
def test_an_export_is_taken_where_it_loses_little(record, right, taken):
    rows = group_rows(
        [
            record("distilled", right=80, total=100, run="tiny-distilled-s0"),
            record("exported", right=right, total=100, run="tiny-distilled-s0"),
        ]
    )
    assert f"({taken})" in facts(rows)["model"]


def test_a_student_that_beats_no_constant_answer_is_not_praised(record):
    rows = group_rows([record("distilled", right=5), record("baseline", "majority", right=6)])
    assert "none of them is worth taking" in headline_section(rows).notes


def test_a_time_of_a_busy_machine_is_marked(record):
    load = {"others": 2.0, "processors": 2, "load_average": 3.0}
    rows = group_rows([record(details={"timing": load})])
    assert facts(rows)["ms (p95)"] == "4.00 (8.00) †"
    notes = next(each.notes for each in sections.sections(rows) if each.key == "cost")
    assert "† Time these again" in notes
    assert "tiny (distilled): timed while other programs kept 2.0 of 2 processors busy" in notes


def test_a_teacher_alone_has_no_headline(roles):
    rows = roles(distilled=0, finetuned=0, baseline=0)
    assert headline_section(rows) is None
    assert headline_sentence(rows) == ""
