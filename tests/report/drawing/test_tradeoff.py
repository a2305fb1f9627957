from __future__ import annotations

import pytest

from destila.report import table
from destila.report.drawing.tradeoff import axes
from destila.report.rows import group_rows


@pytest.fixture
def example(record, latency):
    """The worked example of docs/reference/tradeoff.md as records: a teacher, three students, a baseline."""

    def one(role, model, right, ms, **changes):
        plain = {
            "latency": (latency(ms),),
            "size_bytes": int(ms * 1e6),
            "macs": {"total_512": int(ms * 1e9)},
        }
        return record(role, model, right=right, total=100, **{**plain, **changes})

    return [
        one("teacher", "T", 90, 16.0),
        one("distilled", "A", 86, 4.0),
        one("distilled", "B", 80, 2.0),
        one("finetuned", "C", 84, 8.0),
        one("baseline", "F", 70, 0.5, macs={}),
    ]


def test_the_worked_example_is_what_a_report_says(example):
    text = table.study_markdown(example, "toy")
    assert (
        "| latency, real | B (distilled), A (distilled), T (teacher) | A (distilled) | 42.0 | 252.0 "
        "| 95.6 % | 95.6 % | 88.9 % |" in text
    )
    assert "| C (fine-tuned) | 93.3 % | 2.00× | 6.67 % | 2.00× | 6.67 % | 2.00× | 6.67 % |" in text


def test_there_is_an_axis_for_each_cost_that_was_measured(example, record):
    assert [axis.key for axis in axes(group_rows(example))] == ["latency", "size", "macs"]
    assert [axis.key for axis in axes(group_rows([record(latency=(), macs={})]))] == ["size"]
    assert axes(group_rows([record("baseline", "tfidf")])) == []


def test_the_papers_protocol_stands_in_for_real_texts(record, latency):
    """The papers' protocol is used where no real texts were timed."""
    made = [record(latency=(latency(80.0, "papers-512"),))]
    assert axes(group_rows(made))[0].title == "latency, papers-512"


def test_times_under_other_conditions_stay_off_the_front(example, record, latency):
    other = record("distilled", "X", right=89, total=100, latency=(latency(1.0, threads=8),))
    axis = axes(group_rows([*example, other]))[0]
    assert "X (distilled)" in [m.point.name for m in axis.points]
    assert "X (distilled)" not in [p.name for p in axis.front]


def test_a_baseline_that_nobody_beats_leaves_no_area(record):
    """A baseline that nobody beats leaves no area and is named."""
    made = [
        record("teacher", "T", right=6),
        *(record("distilled", name, right=5) for name in "ABC"),
        record("baseline", "F", right=9),
    ]
    assert [axis.above_baseline for axis in axes(group_rows(made))] == [0.0, 0.0, 0.0]
    assert (
        "No encoder cheaper than the teacher scores above the baseline F 90.00."
        in table.study_markdown(made, "toy")
    )


def test_without_a_teacher_there_is_a_front_but_no_reference(record):
    axis = axes(group_rows([record(right=5), record("finetuned", right=4)]))[0]
    assert (axis.reference, axis.above_baseline, axis.above_zero, axis.retained_at(2)) == (
        None,
        None,
        None,
        None,
    )
    assert [p.name for p in axis.front] == ["tiny (distilled)"]


def test_an_exported_model_is_a_row_of_its_own(record):
    """An exported model is a row of its own with what it lost."""
    made = [
        record("teacher", "T", right=9),
        *(record("distilled", "tiny", seed, right=8) for seed in (0, 1)),
        *(
            record(
                "exported",
                "tiny",
                seed,
                right=7,
                run=f"tiny-distilled-s{seed}",
                key=f"{candidate}-{seed}",
                details={
                    "candidate": candidate,
                    "drop": 0.01,
                    "int8_products": 8,
                    "products": 8,
                    "stable": True,
                },
            )
            for seed in (0, 1)
            for candidate in ("int8", "fp32")
        ),
    ]
    assert [(r.model, r.seeds) for r in group_rows(made) if r.role == "exported"] == [
        ("tiny-distilled int8", (0, 1)),
        ("tiny-distilled fp32", (0, 1)),
    ]
    text = table.study_markdown(made, "toy")
    assert "| tiny-distilled int8 | int8 | 70.00 ± 0.00 | +1.00 | 0.00 | 8 of 8 | yes |" in text


def test_nothing_is_retained_of_a_teacher_that_scores_zero(record):
    """A teacher that scores nothing retains nothing to speak of."""
    students = [record("distilled", name, right=1) for name in "ABC"]
    made = [record("teacher", "T", right=0), *students]
    assert "| A (distilled) | – | 1.00× | – |" in table.study_markdown(made, "toy")
