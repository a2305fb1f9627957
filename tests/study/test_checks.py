"""Errors that need no training are raised before any.

They concern terms, tokens, lengths, and what a study of questions needs.
"""

from __future__ import annotations

import json
import re

import pytest

from destila.commands import data, init
from destila.errors import ConfigError
from destila.model_folder import SPAN_LABELS
from destila.study.checks import check_questions, check_study
from destila.study.planning.recipe import read_recipe
from destila.tasks.span.options import SpanOptions
from tests.fixtures.studies import run_recipe, study_of
from tests.study.conftest import squad


def test_a_wrong_loss_term_shows_before_any_training(tiny, trained):
    """A term that does not exist is named with the nearest one that does."""
    with pytest.raises(ConfigError, match="Did you mean 'kl'"):
        run_recipe(tiny(), 'distil.terms=[{use="kll"}]')
    assert trained == []


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ('[{use = "attention"}]', "a wordpiece tokenizer of 400 pieces of its own"),
        (
            '[{use = "kl"}, {use = "hidden", pool = "token"}]',
            "train the student with the teacher's tokenizer",
        ),
        ('[{use = "hidden", layers = [[1, 3]]}]', "the teacher's 0 to 2"),
        ('[{use = "hidden", project = "never"}]', "the student is 16 wide and the teacher 32"),
        ('[{use = "relation"}]', "of a text to classify there is one"),
        ('[{use = "kl", pads = true}]', "is for questions"),
    ],
)
def test_terms_the_models_cannot_meet_are_refused(tiny, trained, terms, says):
    """Layers, widths and tokens are known from the recipe, and compared before any work."""
    with pytest.raises(ConfigError) as error:
        check_study(study_of(tiny(), f"distil.terms={terms}"))
    assert says in str(error.value)
    assert trained == []


def test_states_of_another_text_are_not_compared(tiny, trained):
    """A student that reads capitals where its teacher does not can only meet its answers."""
    recased = 'distil.augment={kind = "fill", model = "m", recase = 0.5}'
    with pytest.raises(ConfigError, match=r"recase = 0.5: a teacher that reads another text"):
        check_study(study_of(tiny(), recased, 'distil.terms=[{use = "hidden"}]'))
    assert trained == []


@pytest.mark.parametrize("unit", ["token", "position"])
def test_rows_of_tokens_are_refused_for_other_tokens(questions, trained, unit):
    """Rows that count tokens mean nothing to a student with others."""
    message = f"span.unit = '{unit}' needs equal tokens; 'teacher' .* 'other'"
    with pytest.raises(ConfigError, match=message):
        run_recipe(questions(), f"span.unit={unit}")
    assert trained == []


def test_a_teacher_shorter_than_the_stride_is_refused(questions, untrained):
    """It would leave words out between two windows."""
    folder = untrained("span", SPAN_LABELS, "short", positions=40)
    path = questions()
    teacher = f'teachers=[{{name="short", model="{folder}"}}]'
    message = "teacher 'short' reads at most 40 tokens, fewer than the stride of 45"
    with pytest.raises(ConfigError, match=message):
        check_questions(study_of(path, teacher, "span.window=60", "span.stride=45"))
    check_questions(study_of(path, teacher, "span.window=16", "span.stride=10"))


def test_a_long_test_question_stops_no_study(questions, tmp_path, wordpiece):
    """It is cut, and `destila data` says so."""
    path, asked = questions(other=""), squad(articles=2)
    asked["data"][1]["paragraphs"][0]["qas"][1]["question"] = "¿De qué año es? " * 30
    (tmp_path / "test.json").write_text(json.dumps(asked), encoding="utf-8")
    wordpiece.save(tmp_path / "pieces")
    changes = (
        f"data.test={tmp_path / 'test.json'}",
        f"students.0.tokenizer={tmp_path / 'pieces'}",
    )
    check_questions(study_of(path, *changes))
    warnings = data.run(data.Config(recipe=path, set=changes))["warnings"]
    assert any(line.startswith("same, test: question '1-1': the question has") for line in warnings)


def test_unanswerable_questions_ask_for_a_threshold(questions, tmp_path, caplog):
    """Without one every question is answered, which a warning tells; `init` writes one."""
    path = questions(impossible=True)
    new = tmp_path / "new.toml"
    init.run(init.Config(data=str(tmp_path / "asked.json"), out=str(new)))
    assert read_recipe(str(new)).span == SpanOptions(null_threshold=0.0)
    check_questions(study_of(path, "span.null_threshold=0.0"))
    assert not caplog.records
    check_questions(study_of(path))
    (warning,) = caplog.messages
    assert re.match(r"\d+ training questions have no answer, .* set span.null_threshold", warning)
