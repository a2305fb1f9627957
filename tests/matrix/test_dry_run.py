"""A dry run: published shapes and recipes in two steps, errors told cell by cell, and its plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from destila.commands import run as command
from destila.errors import ConfigError
from destila.matrix.dry_run import dry_run
from destila.matrix.matrix import cells_of, read_matrix
from destila.matrix.stand_ins import shape_of, teacher_in_turn
from destila.models.presets import PRESETS, count_parameters

FOLDER = Path(__file__).parents[2] / "recipes" / "published"


@pytest.fixture(autouse=True)
def _absent(monkeypatch):
    """Neither data nor models of this machine are read."""
    monkeypatch.delenv("DESTILA_DATA", raising=False)
    monkeypatch.delenv("DESTILA_MODELS", raising=False)


def cells(name, *only):
    """Cells of a shipped matrix."""
    return cells_of(read_matrix(str(FOLDER / f"{name}.toml")), only)


def test_a_published_column_of_every_task_trains_two_steps():
    results = dry_run(cells("glues", "albeto-tiny/mldoc", "albeto-tiny/tar_mlqa"))
    results += dry_run(cells("albeto-finetuning", "albeto-tiny/ancora_pos"))
    assert [each.result for each in results] == ["OK"] * 3
    plan = results[2].plan
    assert plan.trainings == 36
    assert plan.parameters == count_parameters(PRESETS["albeto-tiny"], labels=18, task="tag")

    # 14,305 sentences, in 2 to 4 epochs at 4 rates, in batches of 16, 32 and 64.
    per_epoch = sum(-(-14305 // batch) for batch in (16, 32, 64))
    assert plan.steps == 4 * (2 + 3 + 4) * per_epoch


@pytest.mark.slow
def test_workers_try_the_same_cells():
    """In the order of the table, an error too."""
    tried = cells("glues", "albeto-tiny/conll2002", "albeto-tiny/mldoc")
    results = dry_run(tried, workers=2)
    assert [(each.name, each.result) for each in results] == [(c.name, "OK") for c in tried]
    assert results[0].plan == dry_run(tried[:1])[0].plan


def test_a_model_larger_than_the_memory_is_planned_only():
    (result,) = dry_run(cells("glues", "albeto-xxlarge/xnli_es"), memory_gb=1.0)
    assert (result.result, result.ok) == ("needs 4.0 GB", True)
    assert result.plan.memory_bytes > 18 * 222_000_000


def test_a_students_teacher_takes_part(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "destila.matrix.dry_run.teacher_in_turn",
        lambda recipe, turn: asked.append(len(recipe.teachers)) or recipe.teachers[3],
    )
    (result,) = dry_run(cells("speedy-gonzales", "albeto-tiny/conll2002"))
    assert (result.result, asked) == ("OK", [11])
    assert result.plan.trainings == 6


def test_cells_of_a_column_try_all_teachers_in_turn():
    """The largest first, so that the memory of a single cell is told for the worst case."""
    (cell,) = cells("speedy-gonzales", "albeto-tiny/conll2002")
    tried = [teacher_in_turn(cell.recipe, turn) for turn in range(11)]
    sizes = [count_parameters(shape_of(spec)) for spec in tried]
    assert sizes == sorted(sizes, reverse=True)
    assert len({spec.label for spec in tried}) == 11
    assert teacher_in_turn(cell.recipe, 11) == tried[0]


def test_a_wrong_cell_is_told_and_costs_itself_alone(tmp_path):
    text = (FOLDER / "glues.toml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace('"pos_accuracy"', '"pos_acuracy"'), encoding="utf-8")
    result = command.run(
        command.Config(
            recipe=str(path),
            only=("albeto-tiny/ancora_pos", "albeto-tiny/conll2002"),
            dry_run=True,
            gpu="rtx-3090",
        )
    )
    (error,) = result["failed"]
    assert "albeto-tiny/ancora_pos: error: ancora_pos has no score 'pos_acuracy'" in error
    assert [row["result"] for row in result["rows"]][1] == "OK"
    assert result["lines"][0].startswith("2 cells: 1 OK, 0 need more memory")


def test_a_gpu_is_one_of_those_that_are_known():
    with pytest.raises(ConfigError, match=r"--gpu h10 is not known\. Did you mean 'h100'"):
        dry_run(cells("glues", "distilbeto/conll2002"), gpu="h10")
