"""A training job in its folder: killed, resumed, skipped, and what it leaves on disk."""

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

from destila.errors import DataError, ModelError, TrainingError
from destila.model_folder import read_folder
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.training import Job, finished, key_of, train

ALONE = (
    "teachers=[]",
    "train.epochs=3",
    "train.evaluations=0.5",
)  # two evaluations cannot be a collapse
COMMAND = """
import sys
from destila.study.recipe import read
from destila.study.run import Run
from destila.study.data import Study

def show(what, done, total):
    sys.stdout.write(f"{done}\\n")
    sys.stdout.flush()
    sys.stdin.readline()

Run(Study(read(sys.argv[1], sys.argv[2:])), show).train()
"""


@pytest.fixture
def job(tiny):
    """A study of one student and its fine-tuning job."""

    def make(*changes: str) -> tuple[Study, Job]:
        recipe = read(str(tiny()), (*ALONE, *changes))
        folder = recipe.folder / "students" / "student-finetuned-s0"
        return Study(recipe), Job(folder, "finetuned", recipe.students[0], recipe.options(), 0)

    return make


def log_of(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.slow
def test_a_command_that_is_killed_and_started_again_leaves_the_same_files(
    tiny, tmp_path, monkeypatch, job
):
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

    study, calm = job()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    done = train(study, calm)
    torch.set_num_threads(before)
    weights = [
        (folder / "best" / "model.safetensors").read_bytes() for folder in (calm.folder, rough)
    ]
    assert weights[0] == weights[1], f"killed after step {target}"
    results = [json.loads((folder / "trained.json").read_text()) for folder in (calm.folder, rough)]
    assert results[0] | {"seconds": 0} == results[1] | {"seconds": 0}
    assert log_of(calm.folder) == log_of(rough)
    assert not (rough / "state.safetensors").exists()
    assert done.key == key_of(study, calm)


def test_a_job_leaves_a_model_a_log_and_its_filled_options(job):
    study, made = job()
    done = train(study, made)
    assert {p.name for p in made.folder.iterdir()} == {
        "best",
        "config.toml",
        "key",
        "log.jsonl",
        "trained.json",
    }
    assert read_folder(done.model).labels == study.labels
    assert log_of(made.folder)[-1]["step"] == 18
    assert set(done.dev) >= {"accuracy", "macro_f1"}
    assert "epochs = 3" in (made.folder / "config.toml").read_text()


def test_a_tagger_that_gives_every_word_one_label_is_noted_and_said(tiny, caplog):
    def trained(name: str, *changes: str) -> dict[str, int]:
        recipe = read(str(tiny("demo_tags")), ("teachers=[]", *changes))
        return train(
            Study(recipe),
            Job(recipe.folder / name, "finetuned", recipe.students[0], recipe.options(), 0),
        ).notes

    assert trained("flat", "train.epochs=1", "train.lr=5e-3")["constant"] == 1
    assert "flat gives every unit of dev the same label" in caplog.text
    caplog.clear()
    assert "constant" not in trained("learned", "train.epochs=12", "train.lr=1e-2")
    assert "same label" not in caplog.text


def test_a_job_that_is_done_is_not_trained_again(job, monkeypatch):
    study, made = job()
    done = train(study, made)
    monkeypatch.setattr("destila.study.training.fit", None)
    assert train(study, made) == done
    assert finished(study, replace(made, seed=1)) is None


@pytest.mark.parametrize("change", ["train.lr=1e-3", "max_length=40", "data.seed=3"])
def test_the_key_changes_with_what_the_result_depends_on(job, change):
    (study, made), (other, changed) = job(), job(change)
    assert key_of(study, made) != key_of(other, changed)


def test_the_key_does_not_change_with_names_and_clocks(job):
    (study, made), (other, changed) = (
        job(),
        job("train.save_minutes=9.0", "students.0.name=otro", "name=otra"),
    )
    assert key_of(study, made) == key_of(other, changed)


def test_the_leftovers_of_other_settings_are_not_resumed(job):
    study, made = job("train.epochs=1")
    train(study, made)
    study, changed = job("train.epochs=2")
    assert finished(study, changed) is None
    train(study, changed)
    assert [line["step"] for line in log_of(changed.folder) if "dev" in line] == [12]


def test_what_a_kill_left_half_written_is_removed(job):
    study, made = job("train.epochs=1")
    (made.folder / ".best.x.tmp").mkdir(parents=True)
    train(study, made)
    assert not list(made.folder.glob(".best*"))


def test_a_full_disk_leaves_the_best_checkpoint_of_before(job, monkeypatch):
    study, made = job("train.epochs=1")
    done = train(study, made)
    old = (done.model / "model.safetensors").read_bytes()
    study, changed = job("train.epochs=2")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("destila.models.store.save_file", full)
    with pytest.raises(ModelError, match="No space left on device"):
        train(study, changed)
    assert (done.model / "model.safetensors").read_bytes() == old
    assert not [p for p in made.folder.iterdir() if p.name.endswith(".tmp")]
    monkeypatch.setattr("destila.training.state.save_file", full)
    with pytest.raises((TrainingError, ModelError), match="No space left on device"):
        train(study, changed)


def test_a_data_set_without_a_split_is_refused(job, monkeypatch, tiny):
    recipe = read(str(tiny()), ALONE)
    whole = Study(recipe).dataset
    monkeypatch.setattr(
        "destila.datasets.load", lambda _: replace(whole, splits={"train": whole.splits["train"]})
    )
    with pytest.raises(DataError, match="has no examples in its dev split"):
        Study(recipe)
