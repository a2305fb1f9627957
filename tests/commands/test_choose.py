"""Several teachers: ranked by the recipe's criterion, and the best one teaches."""

import pytest

from destila.commands import choose
from destila.commands.run import Config
from tests.fixtures.studies import records_of, run_recipe

RIVAL = """
[[teachers]]
name = "rival"
shape = { kind = "bert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 400 }
train = { epochs = 1, lr = 1e-5 }
"""


@pytest.fixture
def recipe(tiny, fast_testing) -> str:
    return str(tiny(more=RIVAL))


@pytest.mark.parametrize("criterion", ["score", "loss"])
def test_teachers_are_ranked_by_the_criterion(recipe, criterion):
    """By how much the best wins is told in the same unit."""
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


def test_the_best_teacher_teaches_and_names_the_others(recipe, tmp_path):
    """The teacher's record names every candidate, and a student's says who taught it."""
    run_recipe(recipe, "choose=loss", "baseline=false", methods=("distil",))
    ranked = choose.run(Config(recipe=recipe, set=("choose=loss",)))["teachers"]
    best = ranked[0]["model"]
    records = records_of(tmp_path)
    assert records["student-distilled-s0"].details["teacher"] == best
    (teacher,) = [r for r in records.values() if r.role == "teacher"]
    assert teacher.model == best
    assert {c["model"] for c in teacher.details["candidates"]} == {"teacher", "rival"}
