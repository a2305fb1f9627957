"""Checkpoints: which stay, what is found again, and what happens when a disk is full or a file is damaged."""

from __future__ import annotations

import errno
import time

import pytest
import torch

from destila.errors import TrainingError
from destila.pretraining.train_setup import load_weights
from destila.training import state
from destila.training.checkpoint import Checkpoints

ONE = {"model.w": torch.ones(3)}


def store(folder, **changes) -> Checkpoints:
    return Checkpoints(folder, **{"keep": 2, "every": 10, "behind": 12} | changes)


def add(disk: Checkpoints, *steps: int) -> None:
    for step in steps:
        disk.add(step, {"step": step}, ONE)
    disk.wait()


def test_the_newest_stay_and_those_that_a_return_may_need(tmp_path):
    with store(tmp_path) as disk:
        add(disk, 0, 3, 10, 13)
        assert disk.steps() == [0, 10, 13]  # 10 is not old enough yet, so 0 is needed
        add(disk, 20, 24)
        assert disk.steps() == [10, 20, 24]
        add(disk, 27, 28)
        assert disk.steps() == [10, 20, 27, 28]
        add(disk, 33)
        assert disk.steps() == [20, 28, 33]
        assert (disk.newest(), disk.before(29), disk.before(20), disk.before(19)) == (
            33,
            20,
            20,
            20,
        )


def test_a_checkpoint_copies_the_tensors_at_once(tmp_path):
    """A checkpoint holds what the tensors were when it was asked for."""
    tensors = {"model.w": torch.zeros(50_000)}
    with store(tmp_path) as disk:
        disk.add(1, {"step": 1}, tensors)
        tensors["model.w"].fill_(7.0)
    position, loaded = disk.read(1)
    assert position == {"step": 1}
    assert torch.equal(loaded["model.w"], torch.zeros(50_000))


def test_a_return_drops_the_checkpoints_behind_it(tmp_path):
    """A return replaces a checkpoint and drops those behind it."""
    with store(tmp_path, keep=9) as disk:
        add(disk, 0, 10, 20, 30)
        position, tensors = disk.read(10)
        disk.replace(10, (position | {"factor": 0.5}, tensors))
        assert disk.steps() == [0, 10]
        assert disk.read(10)[0] == {"step": 10, "factor": 0.5}


@pytest.mark.parametrize("size", [0, 7, 60])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, size):
    with store(tmp_path) as disk:
        add(disk, 10, 20)
        disk.path(20).write_bytes(disk.path(20).read_bytes()[:size])
        (tmp_path / "00000030.safetensors.tmp").write_bytes(b"half")
        assert disk.newest() == 10
        disk.path(10).write_bytes(b"")
        with pytest.raises(
            TrainingError, match=r"none of the 2 checkpoints in .* can be read: delete the folder"
        ):
            disk.newest()


def test_a_full_disk_leaves_older_checkpoints_intact(pretoy, tmp_path, monkeypatch):
    """A full disk is one error at the next chance, and older checkpoints are intact."""
    chosen = pretoy.PretrainOptions(
        stages=({"steps": 30, "length": 8, "rows": 4},),
        optimizer="adamw",
        evaluate_every=10,
        precision="fp32",
    )
    walk = pretoy.steps(pretoy.model(), tmp_path, chosen)
    for _ in range(12):
        next(walk)
    while not (tmp_path / "00000010.safetensors").is_file():
        time.sleep(0.01)  # it is written in the background
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(
        TrainingError, match=r"cannot be written .*No space left.*free some space and start again"
    ):
        list(walk)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    assert next(pretoy.steps(pretoy.model(), tmp_path, chosen)).step == 11


def test_load_weights_leaves_out_what_the_loss_learned(pretoy, tmp_path):
    """The weights of the newest checkpoint come without what the loss learned."""
    net = pretoy.model()
    everything = torch.nn.ModuleDict(
        {"student": net, "loss": torch.nn.ModuleList([torch.nn.Linear(2, 2)])}
    )
    optim = torch.optim.AdamW(everything.parameters())
    for number, kept in enumerate((everything, net)):
        folder = tmp_path / str(number)
        state.write_state(folder / "00000007.safetensors", state.state_tensors(kept, optim), {})
        loaded = load_weights(folder, pretoy.model(seed=9))
        assert all(
            torch.equal(value, loaded.get_parameter(name)) for name, value in net.named_parameters()
        )
    with pytest.raises(
        TrainingError, match=r"there is no checkpoint in .*nowhere: start the run first"
    ):
        load_weights(tmp_path / "nowhere", net)
