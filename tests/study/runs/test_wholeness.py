"""A finished training whose model was cut, deleted or changed since."""

from __future__ import annotations

import json
import shutil

import pytest

from destila.errors import DataError
from destila.study.runs.training import finished, lost_model, train
from destila.study.runs.wholeness import describe_files, run_damage
from tests.fixtures.studies import plans_of, records_of, run_recipe

ONCE = ("teachers=[]", "train.epochs=1", "baseline=false")


@pytest.fixture
def done(tiny):
    """A finished training."""
    (plan,) = plans_of(tiny(), *ONCE)
    train(plan)
    return plan


def test_a_model_that_was_cut_deleted_or_changed_is_noticed(done):
    """By names and sizes alone, but for other bytes of the same number."""
    best = done.folder / "best"
    weights, vocabulary = best / "model.safetensors", best / "tokenizer.json"
    whole = {path: path.read_bytes() for path in (weights, vocabulary)}
    assert run_damage(done.folder, read=True) == lost_model(done) == ""

    weights.write_bytes(whole[weights][:-7])
    size = len(whole[weights])
    assert run_damage(done.folder) == (
        f"model.safetensors has {size - 7:,} bytes, {size:,} were written"
    )
    assert finished(done) is None
    weights.write_bytes(whole[weights])
    assert finished(done) is not None

    vocabulary.unlink()
    assert lost_model(done) == f"{best}: tokenizer.json is gone"
    changed = bytearray(whole[vocabulary])
    changed[100] ^= 1
    vocabulary.write_bytes(changed)
    assert run_damage(done.folder) == ""
    assert "other bytes" in run_damage(done.folder, read=True)

    # a study of an older version says nothing of its files
    path = done.folder / "trained.json"
    facts = json.loads(path.read_text())
    assert set(facts.pop("files")) == set(describe_files(best))
    path.write_text(json.dumps(facts))
    assert run_damage(done.folder) == ""
    weights.write_bytes(whole[weights][:200])
    assert "cut or damaged" in run_damage(done.folder)
    path.write_text("{")
    with pytest.raises(DataError, match="delete it to train student-finetuned-s0 again"):
        run_damage(done.folder)


@pytest.mark.slow
@pytest.mark.usefixtures("fast_testing")
def test_lost_models_of_a_recorded_study_are_made_again(tiny, tmp_path, trained, caplog):
    """A cut teacher, a deleted student: said, and trained to the same bits."""
    path = tiny()
    run_recipe(path, "train.epochs=1")
    runs = tmp_path / "runs" / "tiny"
    teacher = runs / "teachers" / "teacher-teacher-s0" / "best" / "model.safetensors"
    student = runs / "students" / "student-distilled-s0" / "best" / "model.safetensors"
    before = teacher.read_bytes(), student.read_bytes()
    names = list(records_of(tmp_path))

    teacher.write_bytes(before[0][:100])
    shutil.rmtree(student.parent.parent)
    trained.clear()
    run_recipe(path, "train.epochs=1")
    assert trained == ["teacher-teacher-s0", "student-distilled-s0"]
    assert (teacher.read_bytes(), student.read_bytes()) == before
    assert "model.safetensors has 100 bytes" in caplog.text
    assert "student-distilled-s0 was recorded, but" in caplog.text
    assert sorted(records_of(tmp_path)) == sorted(names)
