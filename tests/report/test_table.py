from __future__ import annotations

import subprocess
import sys

import pytest

from destila.errors import DataError
from destila.report import sections, table
from destila.report.differences.compare import against, against_baseline, gains
from destila.report.rows import group_rows, speed_up, teacher_of


@pytest.fixture
def study(record, latency):
    """A teacher, one student in both roles with three seeds, and a baseline."""
    teacher = record(
        "teacher",
        "big",
        right=95,
        total=100,
        params=9000,
        latency=(latency(20.0), latency(80.0, "papers-512")),
    )
    students = [
        record(
            role,
            "tiny",
            seed,
            right=right + seed,
            total=100,
            scores={"accuracy": (right + seed) / 100, "agreement": 0.9},
        )
        for role, right in (("distilled", 80), ("finetuned", 60))
        for seed in range(3)
    ]
    baseline = record(
        "baseline", "tfidf", right=70, total=100, params=0, macs={}, peak_memory_bytes=0
    )
    return [*students, baseline, teacher]


def line(text, start):
    rows = [row for row in text.splitlines() if row.startswith(start)]
    assert len(rows) >= 1, text
    return rows


def test_rows_are_averaged_over_seeds_and_ordered_by_role(study):
    assert [(r.role, r.model, r.seeds) for r in group_rows(study)] == [
        ("teacher", "big", (0,)),
        ("distilled", "tiny", (0, 1, 2)),
        ("finetuned", "tiny", (0, 1, 2)),
        ("baseline", "tfidf", (0,)),
    ]
    assert group_rows(study)[1].main == pytest.approx(0.81)
    assert group_rows(study)[1].spread("accuracy") == pytest.approx(0.01)


def test_a_seed_that_was_recorded_twice_counts_once(record):
    """A seed that was recorded twice counts once with its last record."""
    rows = group_rows([record(right=1, key="old"), record(right=9, key="new")])
    assert (len(rows), rows[0].seeds, rows[0].main) == (1, (0,), 0.9)


def test_only_the_test_split_is_reported_when_there_is_one(record):
    assert [r.first.split for r in group_rows([record(split="dev", seed=1), record()])] == ["test"]


def test_the_report_has_a_line_per_model_and_role(study):
    text = table.study_markdown(study, "toy")
    scores = text[text.index("## Scores") :]
    assert line(scores, "| tiny (distilled) |")[0] == (
        "| tiny (distilled) | 81.00 ± 1.00 | – | 90.00 ± 0.00 | 85.3 % | 3 |"
    )


def test_cost_has_both_counts_of_macs_and_the_speed_up(study):
    text = table.study_markdown(study, "toy")
    assert (
        "| tiny (distilled) | 0.00 | 4.00 (8.00) | 5.00× | – | 300 | 2.00 | 2.50 | 1,000 |" in text
    )
    assert (
        "| big (teacher) | 0.00 | 20.00 (40.00) | 1.00× | 80.00 (160.00) | 300 | 2.00 | 2.50 | 9,000 |"
        in text
    )


def test_times_under_other_conditions_are_not_divided(record, latency):
    rows = group_rows([record("teacher", "big", latency=(latency(20.0, threads=8),)), record()])
    assert speed_up(rows[1], rows[0], "real") is None


def test_the_gain_of_distilling_has_an_interval_and_a_reading(study):
    differences = gains(group_rows(study))
    assert [(d.a.role, d.b.role, d.seeds, d.reading) for d in differences] == [
        ("distilled", "finetuned", (3, 3), "gain")
    ]
    assert differences[0].mean == pytest.approx(0.2)
    assert 0 < differences[0].low < 0.2 < differences[0].high
    assert "| tiny | gain | 81.00 | 61.00 | +20.00 | [+" in table.study_markdown(study, "toy")


def test_a_gain_is_compared_on_the_seeds_both_have(record):
    made = [record("distilled", seed=s, right=r) for s, r in ((0, 5), (1, 9))] + [
        record("finetuned", seed=1, right=4)
    ]
    assert (gains(group_rows(made))[0].mean, gains(group_rows(made))[0].seeds) == (
        pytest.approx(0.5),
        (1, 1),
    )


def test_a_loss_is_called_a_loss(record):
    made = [record("distilled", right=10, total=100), record("finetuned", right=90, total=100)]
    assert gains(group_rows(made))[0].reading == "loss"


def test_records_without_items_have_no_interval(record):
    made = [record("distilled", right=8, items=()), record("finetuned", right=6)]
    differences = gains(group_rows(made))[0]
    assert (differences.mean, differences.low, differences.reading) == (
        pytest.approx(0.2),
        None,
        "no interval",
    )
    assert "| tiny | no interval | 80.00 | 60.00 | +20.00 | – | 1 |" in table.study_markdown(
        made, "toy"
    )


def test_a_baseline_that_wins_is_said_plainly(record):
    made = [
        record("finetuned", right=60, total=100),
        record("baseline", "tfidf", right=90, total=100),
    ]
    assert (
        "- The baseline wins: tfidf 90.00 against tiny (fine-tuned) 60.00, the best student"
        in table.study_markdown(made, "toy")
    )


def test_the_best_baseline_alone_is_compared(record):
    made = [
        record("finetuned", right=60, total=100),
        record("baseline", "majority", right=50, total=100),
        record("baseline", "tfidf", right=90, total=100),
    ]
    drawn = table.study_markdown(made, "toy")
    assert (drawn.count("baseline wins"), drawn.count("beat the baseline")) == (1, 0)


def test_a_baseline_that_is_beaten_is_said_plainly(study):
    assert (
        "- The baseline is beaten: tfidf 70.00 against tiny (distilled) 81.00"
        in table.study_markdown(study, "toy")
    )


def test_a_baseline_within_the_interval_is_not_called_beaten(record):
    made = [
        record("distilled", right=61, total=100),
        record("baseline", "tfidf", right=60, total=100),
    ]
    assert "No student is shown to beat the baseline" in table.study_markdown(made, "toy")


def test_the_baseline_meets_the_best_student(study):
    assert [d.a.role for d in against_baseline(group_rows(study))] == ["distilled"]


def test_published_numbers_stand_apart_and_are_labelled(record):
    made = [
        record(
            "finetuned", dataset="conll2002", main="entity_f1", scores={"entity_f1": 0.6}, items=()
        )
    ]
    text = table.study_markdown(made, "toy")
    assert "Published by others, not measured here" in text
    xlarge = line(text, "| albeto-xlarge (published) |")[0]
    assert "81.42 [" in xlarge
    assert "83.06" not in xlarge
    assert line(text, "| roberta-bne-large (published) |")[0].count("21.47 [") == 1


def test_scores_that_were_not_measured_are_not_set_beside(record):
    made = [
        record(
            "finetuned",
            dataset="ancora_pos",
            main="pos_accuracy",
            scores={"pos_accuracy": 0.9},
            items=(),
        )
    ]
    text = table.study_markdown(made, "toy")
    assert "memoria-2021, finetuned, POS accuracy" in text
    assert "chunk F1" not in text


def test_a_data_set_nobody_published_has_no_such_section(study):
    assert "## Published" not in table.study_markdown(study, "toy")


def test_the_conditions_are_told_once_each(study):
    text = table.study_markdown(study, "toy")
    assert text.count("toy processor (avx2); 2 threads") == 1
    assert "- code abc; seeds 0, 1, 2" in text


def test_the_teacher_that_students_name_is_the_baseline(record):
    made = [
        record("teacher", "best", right=9),
        record("teacher", "used", right=7),
        record(details={"teacher": "used"}),
    ]
    assert teacher_of(group_rows(made)).model == "used"


def test_without_names_the_best_teacher_is_the_baseline(record):
    assert (
        teacher_of(
            group_rows([record("teacher", "a", right=7), record("teacher", "b", right=9)])
        ).model
        == "b"
    )


def test_an_empty_study_says_so():
    assert "No records yet" in table.study_markdown([], "toy")


def test_terminal_rows_are_short(study):
    rows = table.terminal_rows(study)
    assert rows[1] == {
        "model": "tiny",
        "role": "distilled",
        "params": 1000,
        "size_mb": 0.0,
        "main": "accuracy",
        "score": pytest.approx(0.81),
        "sd": pytest.approx(0.01),
        "seeds": 3,
        "latency_ms": 4.0,
        "speed_up": 5.0,
    }


def test_verdicts_are_one_sentence_each(study):
    assert [v.split(":")[0] for v in sections.verdicts(group_rows(study))] == [
        "Distilling tiny instead of fine-tuning it",
        "The baseline is beaten",
    ]


def test_reporting_does_not_load_torch():
    code = "import sys, destila.commands.report; sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_seeds_with_other_settings_are_not_averaged(record):
    """Seeds with other settings are not averaged with the last ones."""
    old = [record(seed=seed, right=1, config={"hidden": 16}) for seed in (0, 1, 2)]
    (row,) = group_rows([*old, record(seed=0, right=9, config={"hidden": 32})])
    assert (row.seeds, row.main) == ((0,), 0.9)


def test_students_are_compared_with_a_named_one(record):
    """Every student is compared with a named one on common seeds."""
    made = [record(model="plain", seed=seed, right=40, total=100) for seed in (0, 1)]
    made += [record(model="hidden", seed=seed, right=90, total=100) for seed in (1, 2)]
    made += [
        record("finetuned", "plain", right=40, total=100),
        record("teacher", "big", right=99, total=100),
    ]
    differences = against(group_rows(made), "plain")
    readings = {
        (d.a.model, d.a.role): (d.reading, round(d.mean, 6), min(d.seeds)) for d in differences
    }
    assert readings == {
        ("hidden", "distilled"): ("gain", 0.5, 1),
        ("plain", "finetuned"): ("no difference shown", 0.0, 1),
    }
    text = table.study_markdown(made, "toy", beside="plain")
    assert "## Against plain" in text
    assert "| hidden (distilled) | gain | 90.00 | +50.00 | [+" in text
    assert "## Against" not in table.study_markdown(made, "toy")


def test_a_student_that_is_not_there_is_named(record):
    with pytest.raises(DataError, match="no student 'plein' in these records: there are tiny"):
        against(group_rows([record()]), "plein")


def test_two_scores_that_are_equal_are_one_column(record):
    rows = group_rows([record(main="pos_accuracy", scores={"pos_accuracy": 0.9, "accuracy": 0.9})])
    header = sections.sections(rows)[1].header
    assert header == ["model", "POS accuracy", "of the teacher", "seeds"]


def test_what_conditions_share_is_written_once(record, latency):
    text = table.study_markdown([record(latency=(latency(4.0, length="max 31"),))], "toy")
    assert "- all: cpu; toy processor (avx2); 2 threads; batch 1; float32; torch;" in text
    assert "- scores: length max 128" in text
    assert "- real: length max 31" in text


def test_a_name_cannot_break_a_table(record):
    text = table.study_markdown([record(model="a|b<i>")], "to_y")
    assert "| a\\|b&lt;i&gt; (distilled) |" in text
    assert text.startswith("# to\\_y\n")
