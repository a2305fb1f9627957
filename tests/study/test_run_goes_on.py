"""Nothing ends a study that has something to show: one class nearly everywhere, a student that diverges."""

from __future__ import annotations

import pytest

from destila.errors import ConfigError, TrainingError
from tests.fixtures.studies import distilled_key, records_of, run_recipe, study_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]

ONE_CLASS = """
[[students]]
name = "second"
shape = { kind = "distilbert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 350, lowercase = false }
"""


@pytest.fixture
def rare(tiny, tmp_path):
    """A recipe of texts of which one in twenty is 'sí'."""
    rows = [f"el niño {i} come en la casa {i % 7},{'no' if i % 20 else 'sí'}" for i in range(400)]
    (tmp_path / "rare.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    data = f'data={{use = "table", train = "{tmp_path / "rare.csv"}"}}'
    return tiny(), data, "teachers=[]", "train.lr=1e-6", "train.epochs=4"


def test_one_class_nearly_everywhere_ends_no_study(rare, tmp_path, caplog):
    """The study is warned of its constant model, and has the majority beside it."""
    result = run_recipe(*rare)
    assert "failed" not in result
    records = records_of(tmp_path)
    majority, student = records["baseline-majority"], records["student-finetuned-s0"]
    assert majority.scores["accuracy"] == student.scores["accuracy"] > 0.85
    assert (majority.size_bytes, majority.params, len(majority.latency)) == (0, 0, 0)
    assert {row["model"] for row in result["rows"]} >= {"majority", "tfidf", "student"}
    assert student.details["notes"]["constant"] == 1
    assert "'no' is 9" in caplog.text
    assert "class_weights = 'balanced'" in caplog.text


def test_the_main_score_and_class_weights_are_the_recipe_s(rare, tmp_path):
    """`metric` decides what is kept and compared; `class_weights` reach every term of gold labels."""
    changes = (*rare, "metric=macro_f1", "train.class_weights=balanced", "train.lr=2e-3")
    run_recipe(*changes)
    for record in records_of(tmp_path).values():
        assert record.main == "macro_f1"
        assert record.scores["macro_f1"] <= record.scores["accuracy"]
        assert len(record.items[0]) == 6  # three counts of two labels
    student = records_of(tmp_path)["student-finetuned-s0"]
    assert student.config["terms"] == (
        {"class_weights": "balanced", "use": "hard"},
    ) or student.config["terms"] == [{"class_weights": "balanced", "use": "hard"}]
    with pytest.raises(ConfigError, match="metric = 'mcc': classification has accuracy and macro"):
        study_of(rare[0], "metric=mcc")


def test_another_main_score_or_weights_is_another_student(tiny):
    """What is said at its default renames nothing."""
    path = tiny()
    usual = distilled_key(path)
    assert distilled_key(path, "metric=accuracy", "train.class_weights=none") == usual
    assert distilled_key(path, "metric=macro_f1") != usual
    assert distilled_key(path, "train.class_weights=balanced") != usual


def test_a_student_that_diverges_costs_itself_alone(tiny, tmp_path):
    """The others, the baselines and the report are there; the result names what failed."""
    path = tiny(more=ONE_CLASS)
    result = run_recipe(path, "students.1.train.lr=1e30", "students.1.train.clip=0.0")
    names = [line.split(":")[0] for line in result["failed"]]
    assert names == ["second-finetuned-s0", "second-distilled-s0"]
    assert "not finite" in result["failed"][0]
    done = records_of(tmp_path)
    assert {"baseline-tfidf", "baseline-majority", "student-distilled-s0"} <= set(done)
    assert (tmp_path / "runs" / "tiny" / "report.md").exists()


def test_a_teacher_that_diverges_costs_what_it_teaches(tiny, tmp_path):
    """Students of gold labels are there all the same."""
    result = run_recipe(tiny(), "teachers.0.train.lr=1e30")
    assert [line.split(":")[0] for line in result["failed"]] == ["teachers", "student-distilled-s0"]
    assert "student-finetuned-s0" in records_of(tmp_path)


def test_a_study_without_any_student_ends_with_the_reason(tiny, tmp_path):
    """The baseline's record and the report are written before."""
    with pytest.raises(TrainingError, match="not finite"):
        run_recipe(tiny(), "teachers=[]", "train.lr=1e30", "train.clip=0.0")
    assert "baseline-tfidf" in records_of(tmp_path)
    assert (tmp_path / "runs" / "tiny" / "report.md").exists()
