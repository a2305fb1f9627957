"""What a student of a recipe may change, and what is refused when the recipe is read.

Also what a model's table tells before anything is loaded.
"""

from __future__ import annotations

import pytest

from destila.errors import ConfigError
from destila.study.planning.recipe import ModelSpec, TeacherSpec, read_recipe

SHAPE = 'shape = { kind = "albert", layers = 1, hidden = 16, heads = 2 }\n'
TABLE = {"kind": "wordpiece", "vocab_size": 400}


def cell(name: str, distil: str) -> str:
    """A further student of the same shape and tokenizer, without a fine-tuned twin, as TOML."""
    tokenizer = "tokenizer = { kind = 'wordpiece', vocab_size = 400 }\n"
    head = f"\n[[students]]\nname = '{name}'\ncompare = false\n"
    return f"{head}{SHAPE}{tokenizer}distil = {distil}\n"


def test_a_students_changes_win_over_the_recipes(tiny):
    """[train] < [distil] < a student's `train` < its `distil`."""
    more = cell("a", "{ train = { lr = 1e-3, epochs = 4 } }")
    more += "train = { lr = 5e-3, batch_size = 8 }\n"
    path = str(tiny("demo_intents", more))
    recipe = read_recipe(path, ("distil.train={epochs=7, warmup=0.0}",))
    options = recipe.distil_options(recipe.students[1])
    assert (options.lr, options.epochs, options.batch_size, options.warmup) == (1e-3, 4, 8, 0.0)


@pytest.mark.parametrize(
    ("distil", "says"),
    [
        ("{ termz = [] }", "student 'a': distil: unknown key 'termz'. Did you mean 'terms'"),
        ("{ teachers = ['nobody'] }", "distil.teachers names 'nobody', which is none of teacher"),
        ("{ teachers = ['teacher', 3] }", "key 'teachers.1' = 3"),
    ],
)
def test_a_wrong_change_shows_when_read(tiny, distil, says):
    """A student's changes are validated with the recipe."""
    with pytest.raises(ConfigError) as error:
        read_recipe(str(tiny("demo_intents", cell("a", distil))))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("teacher", "start"),
    [
        ('model="a"', "nobody"),
        ('model="b"', "teacher"),
        ('model="a", layers=2', "teacher"),
    ],
)
def test_a_start_is_a_whole_teacher_of_one_model(tiny, teacher, start):
    """Other layers or another model would be other weights than the student's."""
    student = f'students=[{{name="s", model="a", start="{start}"}}]'
    with pytest.raises(ConfigError, match=f"student 's': start = '{start}' needs a teacher"):
        read_recipe(str(tiny()), (f'teachers=[{{name="teacher", {teacher}}}]', student))


@pytest.mark.parametrize("weights", ["[1]", "[1, 1]", "[0]"])
def test_weights_of_an_ensemble_are_checked_when_read(tiny, weights):
    """One weight for each teacher, and not all zero."""
    path = str(tiny("demo_tags", cell("a", f"{{ ensemble = {{ weights = {weights} }} }}")))
    if weights == "[1]":
        assert read_recipe(path).students[1].label == "a"
    else:
        with pytest.raises(ConfigError, match="give 1 numbers"):
            read_recipe(path)


def test_a_model_from_scratch_tells_tokens_and_shape():
    """A table to train a tokenizer has a name and a key, but no folder yet."""
    shape = {"kind": "bert", "layers": 3, "hidden": 32, "heads": 2}
    spec = ModelSpec(name="small", shape=shape, layers=2, tokenizer=TABLE)
    other = spec.model_copy(update={"name": "other"})
    assert spec.tokenizer_source is None
    assert spec.tokenizer_name == "a wordpiece tokenizer of 400 pieces of its own"
    assert spec.tokens_key() == other.tokens_key()
    planned = spec.planned_shape()
    assert (planned.name, planned.layers, planned.hidden, planned.heads) == ("small", 2, 32, 2)
    assert (spec.most_tokens(), spec.window_length(96)) == (0, 96)


def test_a_preset_has_a_shape_and_no_tokenizer():
    """A preset's random weights read with whatever tokenizer the table gives."""
    spec = ModelSpec(model="albeto-tiny", layers=(0, 3))
    assert (spec.label, spec.depth, spec.tokenizer_source) == ("albeto-tiny-2", 2, None)
    assert spec.planned_shape().layers == 2
    assert ModelSpec(model="albeto-tiny", tokenizer="pieces").tokenizer_source == "pieces"


def test_a_folder_tells_how_much_it_reads(untrained):
    """A short teacher has shorter windows; a short student is refused elsewhere."""
    folder = str(untrained("tag", ("O", "B-PER"), positions=40))
    teacher, student = TeacherSpec(model=folder), ModelSpec(model=folder)
    assert teacher.most_tokens() == student.most_tokens() == 40
    assert (teacher.window_length(64), teacher.window_length(24)) == (40, 24)
    assert student.window_length(64) == 64
    assert teacher.tokenizer_source == folder
    assert teacher.tokenizer_name == f"the tokenizer of {folder}"
    assert teacher.planned_shape().hidden == 16
