"""Several teachers: ranked by the recipe's criterion, and the best one teaches."""

import pytest

from destila.commands import choose
from destila.study import testing
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run

RIVAL = """
[[teachers]]
name = "rival"
shape = { kind = "bert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 400 }
train = { epochs = 1, lr = 1e-5 }
"""


@pytest.fixture
def recipe(tiny, monkeypatch) -> str:
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)
    return str(tiny(more=RIVAL))


@pytest.mark.parametrize("criterion", ["score", "loss"])
def test_teachers_are_ranked_by_the_criterion_and_the_distance_to_the_best_is_said(
    recipe, criterion
):
    ranked = choose.run(Config(recipe=recipe, set=(f"choose={criterion}",)))
    assert ranked["criterion"] == criterion
    best, other = ranked["teachers"]
    assert {best["model"], other["model"]} == {"teacher", "rival"}
    if criterion == "score":
        assert best["dev"] >= other["dev"]
        assert other["behind"] == pytest.approx(best["dev"] - other["dev"])
    else:
        assert best["dev_loss"] < other["dev_loss"]
        assert other["behind"] == pytest.approx(other["dev_loss"] - best["dev_loss"])


def test_the_best_teacher_teaches_and_its_record_names_the_others(recipe):
    steps = Run(Study(read(recipe, ("choose=loss",))))
    record = steps.student(steps.recipe.students[0], 0, distilled=True)
    best = steps.teachers.ranked[0].spec.label
    assert record.details["teacher"] == best
    teacher = next(r for r in steps.recorded.values() if r.role == "teacher")
    assert teacher.model == best
    assert {c["model"] for c in teacher.details["candidates"]} == {"teacher", "rival"}
