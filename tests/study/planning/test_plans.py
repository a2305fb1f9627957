"""The trainings a recipe asks for.

Tested are which there are, what their keys depend on, and how stages follow each other.
"""

from __future__ import annotations

import pytest

from destila.errors import ConfigError
from destila.progress import silent
from destila.study.planning.plans import list_teachers, plan_students
from tests.fixtures.studies import distilled_key, plans_of, run_recipe, study_of
from tests.study.planning.test_recipe import cell


def keys(path, *changes: str) -> dict[tuple[str, str], str]:
    return {(plan.spec.label, plan.role): plan.key for plan in plans_of(path, *changes)}


def test_an_unchanged_cell_is_the_recipes_own_distillation(tiny):
    """A student that changes nothing has the key of the recipe's own.

    It has no fine-tuned twin if it wants none.
    """
    cells = cell("same", "{}") + cell("other", "{ terms = [{ use = 'soft_ce' }] }")
    every = keys(tiny("demo_intents", cells))
    own = every["student", "distilled"]
    assert every["same", "distilled"] == own != every["other", "distilled"]
    assert ("same", "finetuned") not in every
    plain = keys(tiny("demo_intents"))
    assert plain == {k: v for k, v in every.items() if k[0] == "student"}


def test_methods_choose_which_students_are_planned(tiny):
    """Fine-tuning alone needs no teacher, and does not ask the recipe whether to compare."""
    study = study_of(tiny("demo_intents", cell("twin", "{}")), "compare=false")

    def planned(*methods: str) -> list[str]:
        teachers = list_teachers(study, methods)
        return [plan.name for plan in plan_students(study, teachers, methods)]

    assert planned("distil") == ["student-distilled-s0", "twin-distilled-s0"]
    assert planned("fine-tune") == ["student-finetuned-s0"]
    assert planned("fine-tune", "distil") == planned("distil")


def test_students_without_teachers_are_fine_tuned(tiny):
    """Without [[teachers]] every student is fine-tuned, for every seed."""
    plans = plans_of(tiny(), "teachers=[]", "compare=false", "seeds=[3, 4]")
    assert [plan.name for plan in plans] == ["student-finetuned-s3", "student-finetuned-s4"]


def test_one_stage_is_the_distillation_without_stages(tiny):
    """Stages are part of a key only where they change something."""
    path = tiny()
    plain = distilled_key(path)
    assert distilled_key(path, 'distil.stages=[{name="all"}]') == plain
    two = distilled_key(path, 'distil.stages=[{name="one"}, {name="all"}]')
    other = distilled_key(path, 'distil.stages=[{name="a"}, {name="b", train={lr=1}}]')
    assert len({plain, two, other}) == 3


def test_precision_and_place_of_states_are_part_of_the_key(tiny):
    """Half precision is part of the result, of logits as of states."""
    path = tiny("demo_tags")
    changes = ("", 'distil.dtype="float32"', 'distil.states="live"')
    assert len({distilled_key(path, *filter(None, [change])) for change in changes}) == 3


def test_labelled_texts_may_be_read_several_times(tiny):
    """Only a distillation repeats them; once, the key is what it was without the option."""
    path = tiny("demo_tags")
    once, thrice = (plans_of(path, f"distil.repeat_labelled={n}") for n in (1, 3))
    sizes = {plan.role: (plan.size(), len(plan.examples(silent))) for plan in thrice}
    before = {plan.role: plan.size() for plan in once}
    assert sizes["finetuned"][0] == before["finetuned"]
    assert sizes["distilled"] == (before["distilled"] + 2 * before["finetuned"],) * 2
    assert [plan.key for plan in once] == [plan.key for plan in plans_of(path)]
    assert {plan.key for plan in thrice} - {plan.key for plan in once}


def test_a_stage_without_answers_keeps_its_last_weights(tiny, monkeypatch):
    """Dev scores say nothing of a stage that teaches no answers."""
    answers = property(lambda loss: loss.terms[0][1].name != "mse")
    monkeypatch.setattr("destila.losses.weighted.WeightedLoss.answers", answers)
    stages = 'distil.stages=[{name="states", terms=[{use="mse"}]}, {name="answers"}]'
    (plan,) = plans_of(tiny(), "compare=false", stages)
    assert [p.options.select for p in plan.chain] == ["last", "score"]


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ('[{name="a", data="unlabelled"}]', "there are no such texts"),
        ('[{name="a"}, {name="a"}]', "two stages are called 'a'"),
        ('[{name="a b"}]', "key 'distil.stages.0.name' = 'a b'"),
        ('[{name="a", terms=[{use="kll"}]}]', "Did you mean 'kl'"),
    ],
)
def test_wrong_stages_are_refused_before_any_training(tiny, trained, stages, says):
    """Names, texts and terms of stages are looked at before anything is trained."""
    with pytest.raises(ConfigError, match=says):
        run_recipe(tiny(), f"distil.stages={stages}")
    assert trained == []


def test_labels_alone_teach_nothing_of_unlabelled_texts(tiny):
    """A stage on unlabelled texts needs a term that asks a teacher."""
    terms = '[{use="hard", class_weights="balanced"}]'
    stages = f'distil.stages=[{{name="a", data="unlabelled", terms={terms}}}]'
    with pytest.raises(ConfigError, match="none of its terms asks a teacher"):
        plans_of(tiny(), stages, "data.unlabelled=10")


def test_a_student_may_start_from_its_fine_tuned_teacher(tiny, untrained):
    """It and its twin start alike; a teacher that is used as it is has no training to wait for."""
    model = untrained("classify", ("x", "y"))
    table = f'name="{{}}", model="{model}"'
    teacher = f"teachers=[{{{table.format('teacher')}}}]"
    student = table.format("student")
    path = tiny()
    twin, taught = plans_of(path, teacher, f'students=[{{{student}, start="teacher"}}]')
    assert twin.start.name == taught.start.name == "teacher-teacher-s0"
    assert (twin.chain, taught.chain) == ([twin], [taught])

    # What it starts from is part of the result, and of nothing else where nothing is fine-tuned.
    alone = plans_of(path, teacher, f"students=[{{{student}}}]")
    assert not {twin.key, taught.key} & {plan.key for plan in alone}
    ready = teacher.replace("name=", "finetune=false, name=")
    assert [plan.start for plan in alone] == [None, None]
    as_it_is = plans_of(path, ready, f'students=[{{{student}, start="teacher"}}]')
    assert [p.key for p in as_it_is] == [
        p.key for p in plans_of(path, ready, f"students=[{{{student}}}]")
    ]


def test_stages_start_where_the_student_starts(tiny, untrained):
    """Only the first one starts from the teacher."""
    model = untrained("classify", ("x", "y"))
    _, last = plans_of(
        tiny(),
        f'teachers=[{{name="teacher", model="{model}"}}]',
        f'students=[{{name="student", model="{model}", start="teacher"}}]',
        'distil.stages=[{name="one"}, {name="two"}]',
    )
    first = last.stage_before
    assert [plan.name for plan in last.chain] == ["student-distilled-s0-one", last.name]
    assert (first.stage_before, first.start.role) == (None, "teacher")
