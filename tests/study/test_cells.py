"""One recipe, many ways of distilling one student: what a cell may change and what it leaves to others."""

from __future__ import annotations

import logging

import pytest

from destila import records
from destila.errors import ConfigError, DataError
from destila.study import testing
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run, run

SHAPE = 'shape = { kind = "albert", layers = 1, hidden = 16, heads = 2 }\n'
FAST = ("baseline=false", "train.epochs=1")


@pytest.fixture(autouse=True)
def _no_subprocess(monkeypatch):
    """Peak memory is measured in a process of its own, which has its own tests."""
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)


def cell(name: str, distil: str) -> str:
    """A further student of the same shape and tokenizer, without a fine-tuned twin, as TOML."""
    tokenizer = "tokenizer = { kind = 'wordpiece', vocab_size = 400 }\n"
    return (
        f"\n[[students]]\nname = '{name}'\ncompare = false\n{SHAPE}{tokenizer}distil = {distil}\n"
    )


def keys(path, *changes: str) -> dict[tuple[str, bool], str]:
    steps = Run(Study(read(str(path), (*changes,))))
    return {(s.label, role): steps._prepared(s, seed, role)[1] for s, seed, role in steps.wanted}


@pytest.mark.slow
def test_cells_share_a_fine_tuned_twin_and_are_trained_and_recorded_apart(
    tiny, tmp_path, trained, caplog
):
    caplog.set_level(logging.INFO)
    (tmp_path / "raw.txt").write_text(
        "".join(f"dónde está mi tarjeta número {i}\n" for i in range(8))
    )
    more = cell("by-mse", '{ terms = [{ use = "mse" }], train = { lr = 1e-3 } }')
    more += cell("wider", f'{{ unlabelled = "{tmp_path / "raw.txt"}" }}')
    run(Config(recipe=str(tiny("demo_intents", more)), set=FAST))
    names = [
        "student-finetuned",
        "teacher-teacher",
        "student-distilled",
        "by-mse-distilled",
        "wider-distilled",
    ]
    assert trained == [f"{name}-s0" for name in names]
    asked = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    assert asked == [96, 0, 8]
    found = {r.run: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}
    assert found["by-mse-distilled-s0"].config["terms"] == [{"use": "mse"}]
    assert found["by-mse-distilled-s0"].config["train"]["lr"] == 1e-3
    assert found["student-distilled-s0"].config["train"]["lr"] == 2e-3
    assert found["wider-distilled-s0"].details["notes"]["features"] == 104
    assert found["wider-distilled-s0"].config["distil"] == {"unlabelled": str(tmp_path / "raw.txt")}
    trained.clear()
    run(Config(recipe=str(tiny("demo_intents", more)), set=FAST))
    assert trained == []


def test_a_cell_that_changes_nothing_is_the_recipe_s_own_distillation(tiny):
    found = keys(
        tiny(
            "demo_intents", cell("same", "{}") + cell("other", "{ terms = [{ use = 'soft_ce' }] }")
        )
    )
    assert found["same", True] == found["student", True] != found["other", True]
    assert ("same", False) not in found
    plain = keys(tiny("demo_intents"))
    assert plain == {k: v for k, v in found.items() if k[0] == "student"}


def test_changes_of_a_student_win_over_those_of_the_recipe(tiny):
    more = (
        cell("a", "{ train = { lr = 1e-3, epochs = 4 } }")
        + "train = { lr = 5e-3, batch_size = 8 }\n"
    )
    recipe = read(str(tiny("demo_intents", more)), ("distil.train={epochs=7, warmup=0.0}",))
    options = recipe.distil_options(recipe.students[1])
    assert (options.lr, options.epochs, options.batch_size, options.warmup) == (1e-3, 4, 8, 0.0)


@pytest.mark.parametrize(
    ("distil", "says"),
    [
        ("{ termz = [] }", "student 'a': distil: unknown key 'termz'. Did you mean 'terms'"),
        ("{ teachers = ['nobody'] }", "distil.teachers names 'nobody', which is none of teacher"),
        ("{ unlabelled_words = [3, 'x'] }", "key 'unlabelled_words.1' = 'x'"),
    ],
)
def test_a_wrong_change_shows_when_the_recipe_is_read(tiny, distil, says):
    with pytest.raises(ConfigError) as error:
        read(str(tiny("demo_intents", cell("a", distil))))
    assert says in str(error.value)


@pytest.mark.slow
def test_each_student_may_have_its_own_teacher(tiny, tmp_path):
    other = (
        "\n[[teachers]]\nname = 'second'\n"
        + SHAPE
        + "tokenizer = { kind = 'bpe', vocab_size = 350 }\n"
    )
    more = other + cell("by-second", "{ teachers = ['second'] }")
    run(
        Config(
            recipe=str(tiny("demo_intents", more)),
            set=(*FAST, "distil.teachers=['teacher', 'second']"),
        )
    )
    found = {r.run: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}
    assert found["by-second-distilled-s0"].details["teacher"] == "second"
    (teacher,) = [r for r in found.values() if r.role == "teacher"]
    assert found["student-distilled-s0"].details["teacher"] == teacher.model
    compared = {name: r.details.get("agreement_with") for name, r in found.items()}
    assert compared["student-distilled-s0"] is None
    assert compared["by-second-distilled-s0"] == (None if teacher.model == "second" else "teacher")


def test_lines_of_a_length_are_drawn_from_a_file_under_the_data_folder(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("DESTILA_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "books").mkdir(parents=True)
    (tmp_path / "data" / "books" / "a.txt").write_text(
        "uno dos\nuno dos tres cuatro\nuno\nuno dos tres\n"
    )
    recipe = read(
        str(tiny("demo_tags")),
        ("distil.unlabelled='books/a.txt'", "distil.unlabelled_words=[2, 3]"),
    )
    study = Study(recipe)
    drawn = study.unlabelled(recipe.distil)
    assert [e.text for e in drawn] == ["uno dos", "uno dos tres"]
    assert [len(e.words) for e in drawn] == [2, 3]
    nothing = recipe.distil.model_copy(update={"unlabelled_words": (9, 9)})
    with pytest.raises(DataError, match="no line of 9 to 9 words"):
        study.unlabelled(nothing)
    nowhere = recipe.distil.model_copy(update={"unlabelled": "books/b.txt"})
    with pytest.raises(DataError, match=r"no file at books/b\.txt or .*data/books/b\.txt"):
        study.unlabelled(nowhere)


@pytest.mark.slow
def test_an_ensemble_is_heard_from_the_rows_that_each_teacher_has_cached(tiny, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    other = (
        "\n[[teachers]]\nname = 'second'\n"
        + SHAPE
        + "tokenizer = { kind = 'bpe', vocab_size = 350 }\n"
    )
    more = (
        other
        + cell("mean", "{ ensemble = {} }")
        + cell("dev", "{ ensemble = { mean = 'logits', weights = 'dev' } }")
    )
    alone = cell("alone", "{ ensemble = { weights = [0, 1] } }") + cell(
        "second-alone", "{ teachers = ['second'] }"
    )
    path = tiny("demo_tags", more + alone)
    answers = (
        'distil.terms=[{use="kl"}]'  # what an ensemble says; inside, one teacher is looked into
    )
    run(
        Config(
            recipe=str(path), set=(*FAST, "compare=false", "teachers.0.train={epochs=8}", answers)
        )
    )
    found = {
        r.run.removesuffix("-distilled-s0"): r
        for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")
    }
    assert found["mean"].details["teacher"] == found["dev"].details["teacher"] == "teacher + second"
    assert found["mean"].details["agreement_with"] in ("teacher", "second")
    assert len({found[name].key for name in ("student", "mean", "dev", "alone")}) == 4
    assert found["alone"].details["dev"] == pytest.approx(found["second-alone"].details["dev"])
    assert found["mean"].details["dev_loss"] != found["second-alone"].details["dev_loss"]
    asked = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    assert sorted(asked) == [0] * 6 + [96, 96]


@pytest.mark.parametrize("weights", ["[1]", "[1, 1]", "[0]"])
def test_weights_of_an_ensemble_are_checked_when_the_recipe_is_read(tiny, weights):
    path = tiny("demo_tags", cell("a", f"{{ ensemble = {{ weights = {weights} }} }}"))
    if weights == "[1]":
        assert read(str(path)).students[1].label == "a"
    else:
        with pytest.raises(ConfigError, match="give 1 numbers"):
            read(str(path))
