"""The state of a run on disk: complete or absent, and refused when it is another run's."""

from __future__ import annotations

import errno
import math

import pytest
import torch
from safetensors.torch import load_file

from destila.errors import TrainingError
from destila.training import state as state_file
from destila.training.options import TrainOptions

OPTIONS = TrainOptions(epochs=3, batch_size=8, lr=0.01, precision="fp32", patience=3)


def steps(toy, net, path, **changes):
    return toy.steps(
        net, "tag", toy.features("tag", 24), OPTIONS, state=path, **{"key": "k", **changes}
    )


def weights(net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("kept", [3, 6])
def test_a_resumed_run_ends_bitwise_like_an_unbroken_one(toy, tmp_path, kept):
    """A run resumed at an evaluation ends bitwise like one that was not stopped."""
    whole, broken = toy.model("tag"), toy.model("tag")
    wanted = list(steps(toy, whole, tmp_path / "a"))
    walk = steps(toy, broken, tmp_path / "b")
    for _ in range(
        kept + 1
    ):  # the state of an evaluation is written when the next step is asked for
        next(walk)
    walk.close()
    resumed = toy.model("tag", seed=5)
    rest = list(steps(toy, resumed, tmp_path / "b"))
    assert [s.step for s in rest] == list(range(kept + 1, 10))
    assert [s.loss for s in rest] == [s.loss for s in wanted[kept:]]
    assert [s.best for s in rest] == [s.best for s in wanted[kept:]]
    assert torch.equal(weights(resumed), weights(whole))


def test_a_run_that_ended_is_not_continued(toy, tmp_path):
    first, again = toy.model("tag"), toy.model("tag", seed=5)
    list(steps(toy, first, tmp_path / "s"))
    assert list(steps(toy, again, tmp_path / "s")) == []
    assert torch.equal(weights(again), weights(first))


def test_states_are_also_saved_by_the_clock(toy, tmp_path):
    changed = OPTIONS.model_copy(update={"save_minutes": 0.0})
    walk = toy.steps(
        toy.model("tag"), "tag", toy.features("tag", 24), changed, state=tmp_path / "s", key="k"
    )
    next(walk), next(walk)
    assert (tmp_path / "s").exists()


def test_the_state_of_another_run_is_refused_with_the_remedy(toy, tmp_path):
    list(steps(toy, toy.model("tag"), tmp_path / "s"))
    with pytest.raises(TrainingError, match="other settings or data: delete it"):
        next(steps(toy, toy.model("tag"), tmp_path / "s", key="other"))


@pytest.mark.parametrize("size", [0, 7, 500])
def test_a_damaged_state_is_refused_with_the_remedy(toy, tmp_path, size):
    list(steps(toy, toy.model("tag"), tmp_path / "s"))
    whole = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(whole[:size])
    with pytest.raises(TrainingError, match=r"is damaged .*delete it"):
        next(steps(toy, toy.model("tag"), tmp_path / "s"))


def test_the_state_of_another_architecture_is_refused(toy, tmp_path):
    list(steps(toy, toy.model("tag"), tmp_path / "s"))
    model, features = toy.model("classify"), toy.features("classify", 8)
    with pytest.raises(TrainingError, match="another architecture: delete it"):
        toy.steps(model, "classify", features, OPTIONS, state=tmp_path / "s", key="k")


def test_a_full_disk_is_one_error_and_the_old_state_survives(toy, tmp_path, monkeypatch):
    walk = steps(toy, toy.model("tag"), tmp_path / "s")
    for _ in range(4):
        next(walk)
    old = (tmp_path / "s").read_bytes()

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state_file, "save_file", full)
    with pytest.raises(
        TrainingError, match=r"cannot be written .*No space left.* is intact: free some space"
    ):
        list(walk)
    assert (tmp_path / "s").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_state_holds_weights_moments_and_the_position(toy, tmp_path):
    net = toy.model("tag")
    list(steps(toy, net, tmp_path / "s"))
    tensors = load_file(tmp_path / "s")
    count = len(list(net.parameters()))
    assert sum(name.startswith("model.") for name in tensors) == count
    assert sum(name.endswith(("exp_avg", "exp_avg_sq", "step")) for name in tensors) == 3 * count
    fresh = toy.model("tag")
    position = state_file.load_state(tmp_path / "s", fresh, torch.optim.AdamW(fresh.parameters()))
    assert (position["key"], position["step"], position["stopped"]) == ("k", 9, "done")
    assert math.isfinite(position["best"])
