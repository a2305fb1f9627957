"""A study of questions, small: teacher, students with equal and other tokens, predictions, refusals."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from destila import records
from destila.commands import data, evaluate, init, predict
from destila.errors import ConfigError, DataError, ModelError, TokenizerError
from destila.model_folder import SPAN_LABELS
from destila.study import questions, run, testing
from destila.study.data import Study
from destila.study.recipe import read
from destila.tasks.span.reader import SpanOptions
from destila.teachers.cache import estimate_cache
from destila.types import Example

NAMES = ["Ana", "Luis", "María", "José", "Óscar"]
CITIES = ["Sevilla", "Córdoba", "Lima", "Bogotá", "Vigo", "León"]


def squad(*, articles: int = 36, empty: bool = False, impossible: bool = False) -> dict:
    """SQuAD JSON with two questions per paragraph, one paragraph per article; a third of them long.

    impossible: and a third question, which has no answer.
    """
    found = []
    for i in range(articles):
        name, city = NAMES[i % len(NAMES)], CITIES[i % len(CITIES)]
        filler = " El equipo ganó la copa en la ciudad de al lado." * (6 if i % 3 == 0 else 1)
        context = f"{name} vive en {city}{i}.{filler} Su casa, «La {name}», es del año {1900 + i}."
        asked = [
            (f"¿Dónde vive {name}?", f"{city}{i}"),
            (f"¿De qué año es la casa {i}?", str(1900 + i)),
        ]
        qas = [
            {
                "id": f"{i}-{n}",
                "question": q,
                "answers": [{"text": a, "answer_start": context.index(a)}],
            }
            for n, (q, a) in enumerate(asked)
        ]
        if impossible:
            qas.append(
                {
                    "id": f"{i}-2",
                    "question": f"¿Quién es {i}?",
                    "answers": [],
                    "is_impossible": True,
                }
            )
        found.append(
            {"title": f"T{i}", "paragraphs": [{"context": context, "qas": [] if empty else qas}]}
        )
    return {"version": "1.1", "data": found}


RECIPE = """
name = "asked"
max_length = 64
out = "{folder}/runs"
data = {{ use = "squad", train = "{folder}/asked.json" }}

[[teachers]]
name = "teacher"
shape = {{ kind = "bert", layers = 2, hidden = 32, heads = 2 }}
tokenizer = {{ kind = "bpe", vocab_size = 400 }}

[[students]]
name = "same"
shape = {{ kind = "bert", layers = 1, hidden = 16, heads = 2 }}
tokenizer = {{ kind = "bpe", vocab_size = 400 }}

{other}
[train]
epochs = 1
batch_size = 16
lr = 2e-3
precision = "fp32"

[distil]
terms = [{{ use = "kl", temperature = 1.0 }}, {{ use = "hard", weight = 0.5 }}]

[measure]
texts = 0
"""
OTHER = """
[[students]]
name = "other"
shape = { kind = "albert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "wordpiece", vocab_size = 420 }
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Writes the data and the recipe, with the second student or without."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))

    def write(other: str = OTHER, **options) -> str:
        (tmp_path / "asked.json").write_text(
            json.dumps(squad(**options), ensure_ascii=False), encoding="utf-8"
        )
        path = tmp_path / "asked.toml"
        path.write_text(RECIPE.format(folder=tmp_path, other=other), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(autouse=True)
def _no_process(monkeypatch):
    """Peak memory is measured in a process of its own, which has its own tests."""
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)


def study_of(path: str, *changes: str) -> Study:
    return Study(read(path, changes))


def test_a_study_runs_from_json_to_answers_with_equal_and_with_other_tokens(
    recipe, tmp_path, trained, caplog
):
    caplog.set_level("INFO", "destila")
    path = recipe()
    run.run(run.Config(recipe=path))
    assert sorted(trained) == sorted(
        [
            "teacher-teacher-s0",
            "same-finetuned-s0",
            "same-distilled-s0",
            "other-finetuned-s0",
            "other-distilled-s0",
        ]
    )
    found = {r.run: r for r in records.read(tmp_path / "runs" / "asked" / "record.jsonl")}
    assert {r.role for r in found.values()} == {"teacher", "finetuned", "distilled"}
    for record in found.values():
        assert record.main == "f1"
        assert {"exact_match", "f1", "exact_match_es", "f1_es"} <= record.scores.keys()
        assert len(record.items) == len(study_of(path).dataset.splits["test"])
    assert (
        "teacher calls: 0" in caplog.text
    )  # the second student, with other tokens, reads the same rows
    folder = tmp_path / "runs" / "asked" / "students" / "other-distilled-s0" / "best"
    said = json.loads((folder / "destila.json").read_text(encoding="utf-8"))
    assert said["span"] == study_of(path).task.options.model_dump()
    context = "Ana\u00a0vive en Lima 🙂.\tSu casa, «La Ana», es del año 1907."
    texts = [
        {"id": "x", "question": "¿Dónde vive Ana?", "context": context},
        {"text": "¿De qué año?", "pair": context},
    ]
    answers = list(predict.Labeller(folder).predict(texts))
    assert [a["id"] for a in answers] == ["x", "1"]
    for answer in answers:
        assert list(answer) == ["id", "answer", "start", "end", "probability", "null_probability"]
        assert context[answer["start"] : answer["end"]] == answer["answer"]
        assert 0 <= answer["probability"] <= 1


def test_a_second_run_trains_nothing(recipe, trained):
    path = recipe(other="")
    run.run(run.Config(recipe=path, train_only=True))
    assert len(trained) == 3
    trained.clear()
    run.run(run.Config(recipe=path, train_only=True))
    assert trained == []


@pytest.mark.parametrize("unit", ["token", "position"])
def test_rows_that_count_tokens_teach_equal_tokens(recipe, trained, unit):
    run.run(
        run.Config(
            recipe=recipe(other=""), set=(f"span.unit={unit}", "compare=false"), train_only=True
        )
    )
    assert "same-distilled-s0" in trained


@pytest.mark.parametrize("unit", ["token", "position"])
def test_rows_that_count_tokens_are_refused_for_other_tokens_before_any_work(recipe, trained, unit):
    with pytest.raises(
        ConfigError, match=f"span.unit = '{unit}' needs equal tokens; 'teacher' .* 'other'"
    ):
        run.run(run.Config(recipe=recipe(), set=(f"span.unit={unit}",)))
    assert trained == []


def test_caches_of_other_rules_and_plans_are_other_caches(recipe):
    path = recipe()
    changes = ([], ["span.unit=token"], ["span.window=20"], ["span.stride=9"], ["max_length=60"])
    assert len({study_of(path, *c).unit_rule for c in changes}) == len(changes)


def test_answers_and_options_name_a_study_of_questions(recipe):
    path = recipe()
    one = study_of(path)
    changed = study_of(path, "span.max_answer=5")
    moved = study_of(path)
    first = moved.dataset.splits["train"][0]
    moved.dataset.splits["train"][0] = replace(first, answers=((0, 3),))
    assert len({one.fingerprint, study_of(path).fingerprint}) == 1
    assert len({one.fingerprint, changed.fingerprint, moved.fingerprint}) == 3


def test_the_plan_of_windows_is_the_recipes_whatever_a_teacher_reads(recipe):
    task = study_of(recipe()).task
    assert (task.options.window, task.options.stride) == (32, 24)


def test_options_of_questions_do_not_rename_other_studies(tiny):
    path = str(tiny())
    assert Study(read(path)).fingerprint == Study(read(path, ["span.window=7"])).fingerprint
    assert "span" not in Study(read(path)).facts


def test_a_teacher_shorter_than_the_stride_is_refused_before_any_work(recipe, untrained, trained):
    folder = untrained("span", SPAN_LABELS, "short", positions=40)
    path = recipe()
    teacher = f'teachers=[{{name="short", model="{folder}"}}]'
    with pytest.raises(
        ConfigError, match="teacher 'short' reads at most 40 tokens, fewer than the stride of 45"
    ):
        questions.check(study_of(path, teacher, "span.window=60", "span.stride=45"))
    questions.check(study_of(path, teacher, "span.window=16", "span.stride=10"))
    assert trained == []


def test_a_teacher_whose_logits_are_not_numbers_is_one_error(recipe, untrained):
    folder = untrained("span", SPAN_LABELS, "broken")
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if "LayerNorm" not in name and "layer_norm" not in name:
            weights[name] = weights[name] * 1e30
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    changes = (f'teachers=[{{name="broken", model="{folder}"}}]', "max_length=32", "compare=false")
    with pytest.raises(ModelError, match="teacher 'broken' says nothing finite"):
        run.run(run.Config(recipe=recipe(other=""), set=changes))


def test_a_question_longer_than_its_share_is_refused(recipe):
    path = recipe(other="")
    study = study_of(path)
    tokenizer = study.tokenizer(study.recipe.students[0])
    long = Example("q7", "¿Qué? " * 80, "Nada.", answers=())
    with pytest.raises(TokenizerError, match="question 'q7' has"):
        study.encode("test", tokenizer, [long])


def test_a_test_question_longer_than_its_share_is_said_before_any_training(
    recipe, tmp_path, trained, wordpiece
):
    path, asked = recipe(other=""), squad(articles=2)
    asked["data"][1]["paragraphs"][0]["qas"][1]["question"] = "¿De qué año es? " * 30
    (tmp_path / "test.json").write_text(json.dumps(asked), encoding="utf-8")
    wordpiece.save(tmp_path / "pieces")
    changes = (f"data.test={tmp_path / 'test.json'}", f"students.0.tokenizer={tmp_path / 'pieces'}")
    with pytest.raises(TokenizerError, match="question '1-1' has"):
        run.run(run.Config(recipe=path, set=changes))
    warnings = data.run(data.Config(recipe=path, set=changes))["warnings"]
    assert any(said.startswith("same, test: question '1-1' has") for said in warnings)
    assert trained == []


def test_a_file_without_questions_is_refused(recipe):
    with pytest.raises(DataError):
        study_of(recipe(empty=True))


def test_init_writes_a_recipe_for_squad_json_that_can_be_read(recipe, tmp_path):
    recipe()
    found = init.run(init.Config(data=str(tmp_path / "asked.json"), out=str(tmp_path / "new.toml")))
    assert (found["use"], found["task"]) == ("squad", "span")
    written = read(str(tmp_path / "new.toml"))
    assert written.span == SpanOptions()
    assert Study(written).dataset.task == "span"


def test_data_with_unanswerable_questions_ask_for_a_threshold_and_init_writes_one(
    recipe, tmp_path, caplog
):
    path = recipe(impossible=True)
    init.run(init.Config(data=str(tmp_path / "asked.json"), out=str(tmp_path / "new.toml")))
    assert read(str(tmp_path / "new.toml")).span == SpanOptions(null_threshold=0.0)
    questions.check(study_of(path, "span.null_threshold=0.0"))
    assert not caplog.records
    questions.check(study_of(path))
    (said,) = caplog.messages
    assert re.match(r"\d+ training questions have no answer, .* set span.null_threshold", said)


def test_the_data_check_counts_answered_questions_and_shared_contexts(recipe):
    report = data.run(data.Config(recipe=recipe()))
    splits = report["splits"]
    assert report["labels"] == ["answered", "unanswerable"]
    assert sum(s["labels"]["answered"] for s in splits.values()) == 72
    assert set(report["overlap"].values()) == {0}


def test_the_cost_of_caching_questions_counts_the_words_of_their_contexts():
    short, long = (Example("q", "¿Qué?", "uno " * n, answers=()) for n in (1, 1000))
    assert estimate_cache([long], 2)["megabytes"] > 100 * estimate_cache([short], 2)["megabytes"] / 2


def test_the_report_prints_official_and_spanish_scores(recipe, tmp_path):
    run.run(run.Config(recipe=recipe(other=""), set=("compare=false",)))
    report = (tmp_path / "runs" / "asked" / "report.md").read_text(encoding="utf-8")
    assert "| answer F1 | exact match | answer F1 (Spanish) | exact match (Spanish) |" in report


def test_a_set_that_only_tests_scores_a_model_and_trains_none(recipe, tmp_path, untrained):
    path, folder = recipe(other=""), untrained("span", SPAN_LABELS, "asker")
    (tmp_path / "xquad.es.json").write_text(json.dumps(squad(articles=4)), encoding="utf-8")
    changes = (f'data={{use="xquad_es", root="{tmp_path}"}}', "max_length=32")
    record = evaluate.run(evaluate.Config(recipe=path, model=str(folder), set=changes))
    assert len(record["items"]) == 8
    assert {"f1", "f1_es"} <= set(record["scores"])
    with pytest.raises(
        DataError, match=r"no examples in its train split: .*destila evaluate needs"
    ):
        run.run(run.Config(recipe=path, set=changes))
