"""A study of questions: its teacher, its students, its predictions.

Students have equal and other tokens; also tested is what names its data.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from destila.commands import data, evaluate, init
from destila.errors import DataError, ModelError
from destila.inference.labeller import Labeller
from destila.model_folder import SPAN_LABELS
from destila.study.planning.recipe import read_recipe
from destila.tasks.span.options import SpanOptions
from destila.teachers.cache import estimate_cache
from destila.types import Example
from tests.fixtures.studies import records_of, run_recipe, study_of
from tests.study.conftest import squad

pytestmark = pytest.mark.usefixtures("fast_testing")


def test_a_study_runs_from_json_to_answers(questions, tmp_path, trained, caplog):
    """Students with equal and with other tokens learn from one cache.

    Their folders answer questions.
    """
    caplog.set_level("INFO", "destila")
    path = questions()
    run_recipe(path)
    names = ["teacher-teacher", "same-finetuned", "same-distilled"]
    names += ["other-finetuned", "other-distilled"]
    assert sorted(trained) == sorted(f"{name}-s0" for name in names)
    records = records_of(tmp_path, "asked")
    assert {r.role for r in records.values()} == {"teacher", "finetuned", "distilled"}
    for record in records.values():
        assert record.main == "f1"
        assert {"exact_match", "f1", "exact_match_es", "f1_es"} <= record.scores.keys()
        assert len(record.items) == len(study_of(path).dataset.splits["test"])
    assert "teacher calls: 0" in caplog.text  # the student with other tokens reads the same rows

    folder = tmp_path / "runs" / "asked" / "students" / "other-distilled-s0" / "best"
    facts = json.loads((folder / "destila.json").read_text(encoding="utf-8"))
    assert facts["span"] == study_of(path).task.options.model_dump()
    context = "Ana\u00a0vive en Lima 🙂.\tSu casa, «La Ana», es del año 1907."
    texts = [
        {"id": "x", "question": "¿Dónde vive Ana?", "context": context},
        {"text": "¿De qué año?", "pair": context},
    ]
    answers = [answer.to_dict() for answer in Labeller(folder).answers(texts)]
    assert [a["id"] for a in answers] == ["x", "1"]
    for answer in answers:
        keys = ["id", "answer", "start", "end", "probability", "null_probability"]
        assert list(answer) == keys
        assert context[answer["start"] : answer["end"]] == answer["answer"]
        assert 0 <= answer["probability"] <= 1


def test_a_second_run_of_questions_trains_nothing(questions, trained):
    """What is trained is there, tested or not."""
    path = questions(other="")
    run_recipe(path, tested=False)
    assert len(trained) == 3
    trained.clear()
    run_recipe(path, tested=False)
    assert trained == []


@pytest.mark.parametrize("unit", ["token", "position"])
def test_rows_that_count_tokens_teach_equal_tokens(questions, trained, unit):
    """A student with the teacher's tokens may learn rows of tokens."""
    path = questions(other="")
    run_recipe(path, f"span.unit={unit}", "compare=false", tested=False)
    assert "same-distilled-s0" in trained


def test_caches_of_other_rules_are_other_caches(questions):
    """The rule of units and the plan of windows decide who can share a teacher's rows."""
    path = questions()
    changes = ([], ["span.unit=token"], ["span.window=20"], ["span.stride=9"], ["max_length=60"])
    assert len({study_of(path, *c).task.unit_rule for c in changes}) == len(changes)


def test_answers_and_options_name_a_study_of_questions(questions):
    """Another answer or another option is another study."""
    path = questions()
    one = study_of(path)
    changed = study_of(path, "span.max_answer=5")
    moved = study_of(path)
    first = moved.dataset.splits["train"][0]
    moved.dataset.splits["train"][0] = replace(first, answers=((0, 3),))
    assert one.key == study_of(path).key
    assert len({one.key, changed.key, moved.key}) == 3


def test_the_recipe_plans_windows_whatever_teachers_read(questions):
    """The plan of windows follows from the recipe alone."""
    task = study_of(questions()).task
    assert (task.options.window, task.options.stride) == (32, 24)


def test_a_teacher_of_infinite_logits_is_one_error(questions, untrained):
    """Weights out of bounds are reported with the teacher's name."""
    folder = untrained("span", SPAN_LABELS, "broken")
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if "LayerNorm" not in name and "layer_norm" not in name:
            weights[name] = weights[name] * 1e30
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    teacher = f'teachers=[{{name="broken", model="{folder}"}}]'
    with pytest.raises(ModelError, match="teacher 'broken' says nothing finite"):
        run_recipe(questions(other=""), teacher, "max_length=32", "compare=false")


def test_a_question_longer_than_its_share_is_cut(questions):
    """A question must leave room for its context; one of them ends no study."""
    study = study_of(questions(other=""))
    tokenizer = study.encodings.tokenizer(study.recipe.students[0])
    long = Example("q7", "¿Qué? " * 80, "Nada.", answers=())
    encoded = study.encodings.training([long], tokenizer)
    assert 0 in encoded.cut or 0 in encoded.refused


def test_a_file_without_questions_is_refused(questions):
    """Articles without questions are no data set."""
    with pytest.raises(DataError):
        study_of(questions(empty=True))


def test_init_writes_a_recipe_for_squad_json(questions, tmp_path):
    """The recipe can be read, and its data are questions."""
    questions()
    new = str(tmp_path / "new.toml")
    written = init.run(init.Config(data=str(tmp_path / "asked.json"), out=new))
    assert (written["use"], written["task"]) == ("squad", "span")
    assert read_recipe(new).span == SpanOptions()
    assert study_of(new).dataset.task == "span"


def test_the_data_check_counts_answers_and_contexts(questions):
    """`destila data` counts answered questions and contexts that two splits share."""
    report = data.run(data.Config(recipe=questions()))
    splits = report["splits"]
    assert report["labels"] == ["answered", "unanswerable"]
    assert sum(s["labels"]["answered"] for s in splits.values()) == 72
    assert set(report["overlap"].values()) == {0}


def test_the_cost_of_caching_counts_words_of_contexts():
    """A question costs as many rows as its context has words."""
    short, long = (Example("q", "¿Qué?", "uno " * n, answers=()) for n in (1, 1000))
    assert (
        estimate_cache([long], 2)["megabytes"] > 100 * estimate_cache([short], 2)["megabytes"] / 2
    )


def test_the_report_prints_official_and_spanish_scores(questions, tmp_path):
    """Both ways of comparing answers have their columns."""
    run_recipe(questions(other=""), "compare=false")
    report = (tmp_path / "runs" / "asked" / "report.md").read_text(encoding="utf-8")
    assert "| answer F1 | exact match |" in report
    assert "(Spanish)" in report or "equal" in report


def test_a_set_that_only_tests_scores_and_trains_none(questions, tmp_path, untrained):
    """A test set alone is enough to evaluate, and not to train."""
    path, folder = questions(other=""), untrained("span", SPAN_LABELS, "asker")
    (tmp_path / "xquad.es.json").write_text(json.dumps(squad(articles=4)), encoding="utf-8")
    changes = (f'data={{use="xquad_es", root="{tmp_path}"}}', "max_length=32")
    record = evaluate.run(evaluate.Config(recipe=path, model=str(folder), set=changes))
    assert len(record["items"]) == 8
    assert {"f1", "f1_es"} <= set(record["scores"])
    with pytest.raises(DataError, match=r"no examples in its train split: .*destila evaluate"):
        run_recipe(path, *changes)
