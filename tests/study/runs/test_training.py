"""A training in its folder: killed, resumed, skipped, and what it leaves on disk."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from destila.errors import ModelError, TrainingError
from destila.model_folder import read_folder
from destila.models import hf
from destila.study.planning.plans import TrainPlan
from destila.study.runs.training import finished, load_student, train
from tests.fixtures.studies import plans_of

ALONE = (
    "teachers=[]",
    "train.epochs=3",
    "train.evaluations=0.5",
)
COMMAND = """
import sys
from destila.study.planning.recipe import read_recipe
from destila.study.run import run_study

def show(what, done, total):
    sys.stdout.write(f"{done}\\n")
    sys.stdout.flush()
    sys.stdin.readline()

run_study(read_recipe(sys.argv[1], sys.argv[2:]), show, tested=False)
"""


@pytest.fixture
def plan(tiny):
    """Plans the fine-tuning of the only student of a study."""

    def make(*changes: str) -> TrainPlan:
        (made,) = plans_of(tiny(), *ALONE, *changes)
        return made

    return make


def log_of(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.slow
def test_a_killed_command_leaves_the_same_files(tiny, tmp_path, monkeypatch, plan):
    """A training that is killed at any step and started again ends as if it was not.

    Its weights, its log and its result are the same.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = str(tiny())
    command = [sys.executable, "-c", COMMAND, path, *ALONE, f'out="{tmp_path / "rough"}"']
    target = random.Random().randint(2, 15)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            process.stdin.write("\n")
            process.stdin.flush()
            if int(line) >= target:
                time.sleep(random.uniform(0, 0.03))
                process.kill()
                break
    assert process.returncode == -signal.SIGKILL
    rough = tmp_path / "rough" / "tiny" / "students" / "student-finetuned-s0"
    assert (rough / "state.safetensors").exists()
    assert not (rough / "trained.json").exists()
    again = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert int(again.stdout.split()[0]) > 1, "the second start should have resumed"

    calm = plan()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    done = train(calm)
    torch.set_num_threads(before)
    folders = (calm.folder, rough)
    weights = [(folder / "best" / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1], f"killed after step {target}"
    results = [json.loads((folder / "trained.json").read_text()) for folder in folders]
    assert results[0] | {"seconds": 0} == results[1] | {"seconds": 0}
    assert log_of(calm.folder) == log_of(rough)
    assert not (rough / "state.safetensors").exists()
    assert done.key == calm.key


def test_a_training_leaves_model_log_and_options(plan):
    """The folder of a finished training can be used, and says how it was made."""
    made = plan()
    done = train(made)
    names = {"best", "config.toml", "key", "log.jsonl", "trained.json"}
    assert {p.name for p in made.folder.iterdir()} == names
    assert read_folder(done.folder).labels == made.study.labels
    assert log_of(made.folder)[-1]["step"] == 18
    assert set(done.dev) >= {"accuracy", "macro_f1"}
    assert "epochs = 3" in (made.folder / "config.toml").read_text()


def test_a_constant_tagger_is_noted_and_warned_of(tiny, caplog):
    """A tagger that gives every word one label has learned nothing, which the log tells."""

    def trained(name: str, *changes: str) -> dict[str, int]:
        named = f"students.0.name={name}"
        (made,) = plans_of(tiny("demo_tags"), "teachers=[]", named, *changes)
        return train(made).notes

    assert trained("flat", "train.epochs=1", "train.lr=5e-3")["constant"] == 1
    assert "flat-finetuned-s0 gives every unit of dev the same label" in caplog.text
    caplog.clear()
    assert "constant" not in trained("learned", "train.epochs=12", "train.lr=1e-2")
    assert "same label" not in caplog.text


def test_a_head_that_is_not_taught_may_be_constant(plan, monkeypatch, caplog):
    """One answer to everything is warned of, unless no term of the loss teaches answers."""
    changes = ("train.epochs=6", "train.evaluations=1.0", "train.lr=1e-9", "train.warmup=0.0")
    assert train(plan(*changes)).notes["constant"] == 1
    assert "same class" in caplog.text
    caplog.clear()
    answers = property(lambda _: False)
    monkeypatch.setattr("destila.losses.weighted.WeightedLoss.answers", answers)
    assert "constant" not in train(plan(*changes, "students.0.name=b")).notes
    assert "same class" not in caplog.text


def test_a_finished_training_is_not_done_again(plan, monkeypatch):
    """Its result is read; one with another seed is not there."""
    made = plan()
    done = train(made)
    monkeypatch.setattr("destila.study.runs.training.fit", None)
    assert train(made) == done
    assert finished(plan()) == done
    assert finished(replace(made, seed=1)) is None


@pytest.mark.parametrize("change", ["train.lr=1e-3", "max_length=40", "data.seed=3"])
def test_the_key_changes_with_what_counts(plan, change):
    """Settings, lengths and data are part of the key."""
    assert plan().key != plan(change).key


def test_the_key_ignores_names_and_clocks(plan):
    """How often a state is saved and what things are called changes no result."""
    changes = ("train.save_minutes=9.0", "students.0.name=otro", "name=otra")
    assert plan().key == plan(*changes).key


def test_leftovers_of_other_settings_are_not_resumed(plan):
    """A folder that holds another training is emptied first."""
    train(plan("train.epochs=1"))
    changed = plan("train.epochs=2")
    assert finished(changed) is None
    train(changed)
    assert [line["step"] for line in log_of(changed.folder) if "dev" in line] == [12]


def test_what_a_kill_left_half_written_is_removed(plan):
    """A half-saved model does not stay."""
    made = plan("train.epochs=1")
    (made.folder / ".best.tmp" / "old").mkdir(parents=True)
    train(made)
    assert not list(made.folder.glob(".best*"))


def test_a_full_disk_leaves_the_last_best_checkpoint(plan, monkeypatch):
    """A model is replaced as a whole or not at all."""
    made = plan("train.epochs=1")
    done = train(made)
    old = (done.folder / "model.safetensors").read_bytes()
    changed = plan("train.epochs=2")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("destila.models.store.save_file", full)
    with pytest.raises(ModelError, match="No space left on device"):
        train(changed)
    assert (done.folder / "model.safetensors").read_bytes() == old
    assert not [p for p in made.folder.iterdir() if p.name.endswith(".tmp")]
    monkeypatch.setattr("destila.training.state.save_file", full)
    with pytest.raises((TrainingError, ModelError), match="No space left on device"):
        train(changed)


def test_a_student_gets_the_layers_of_its_fine_tuned_teacher(tiny, untrained, trained):
    """The teacher is trained first, and its time is not the student's."""
    model = untrained("classify", ("x", "y"), layers=2)
    twin, _ = plans_of(
        tiny(),
        "train.epochs=1",
        f'teachers=[{{name="teacher", model="{model}"}}]',
        f'students=[{{name="student", model="{model}", layers=1, start="teacher"}}]',
    )
    done = train(twin)
    assert trained == ["teacher-teacher-s0", "student-finetuned-s0"]
    assert json.loads((twin.start.folder / "trained.json").read_text())["seconds"] > 0
    assert done.seconds < log_seconds(twin.folder) + 0.1

    # Before its own training it is the teacher, less the layers that it does not keep.
    student = load_student(twin, finished(twin.start).folder).model.state_dict()
    teacher = hf.load(finished(twin.start).folder).model.state_dict()
    before = hf.load(model).model.state_dict()
    assert 0 < len(student) < len(teacher)
    assert all(torch.equal(value, teacher[name]) for name, value in student.items())
    assert any(not torch.equal(value, before[name]) for name, value in student.items())


def log_seconds(folder) -> float:
    """Return the seconds that the log of a training counts."""
    return json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["seconds"]
