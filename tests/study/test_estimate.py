"""The estimate of training: by words, and with the teacher that runs beside a student."""

from __future__ import annotations

import pytest

from destila.study import estimate
from destila.study.planning.plans import list_teachers, plan_students
from tests.fixtures.studies import study_of

SHORT = ("data.train=48", "train.epochs=1", "compare=false", "teachers.0.train={epochs = 1}")


def test_the_estimate_counts_a_live_teacher(tiny, monkeypatch):
    """A live teacher adds its forward passes to every step.

    The teacher has 2 layers of 32, the student 1 of 16, and a forward pass is a third of a step.
    """
    monkeypatch.setattr(estimate, "_words_per_second", lambda *_: 100.0)
    path = tiny()

    def minutes(*changes: str) -> float:
        study = study_of(path, *SHORT, *changes, "train.evaluations=0.01")
        teachers = list_teachers(study)
        plans = plan_students(study, teachers)
        return estimate.log_estimate(study, teachers, plans)["student-distilled-s0"]

    alone = minutes('distil.terms=[{use = "kl"}]')
    both = 'distil.terms=[{use = "hidden"}, {use = "kl"}]'
    beside = pytest.approx(alone * (1 + 8 / 3), rel=0.01)
    assert minutes(both, 'distil.states="live"') == beside
    assert minutes(both, 'distil.states="cache"') == alone


def test_the_estimate_is_of_the_whole_study(tiny, monkeypatch, caplog):
    """Training, what the teacher labels, tests and times: in words, and one total."""
    monkeypatch.setattr(estimate, "_words_per_second", lambda *_: 100.0)
    study = study_of(tiny(), *SHORT, "train.evaluations=0.01")
    teachers = list_teachers(study)
    with caplog.at_level("INFO", "destila"):
        estimate.log_estimate(study, teachers, plan_students(study, teachers))
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("estimate: ")]
    assert "for the whole study" in line
    assert "student-distilled-s0" in line
    assert "labelling by the teacher" in line
    assert "tests and times" in line
    assert "1 minutes" not in line
