"""Training on a GPU: what a CPU learns, in every precision; the same bits after a kill; one process of torchrun."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from destila.config import build_config
from destila.pretraining.pretrain_options import PretrainOptions
from destila.training.feed import ahead
from destila.training.options import TrainOptions
from destila.training.predict import window_logits
from tests.gpu.conftest import DRY

OPTIONS = {"epochs": 2, "batch_size": 6, "lr": 0.01, "eps": 1e-4, "precision": "fp32"}
PRETRAIN = {
    "stages": [{"steps": 20, "length": 12, "rows": 8}],
    "lr": 0.02,
    "eps": 1e-4,
    "precision": "fp32",
    "evaluate_every": 5,
    "save_minutes": 1000.0,
}
TERMS = {
    "hard": [{"use": "hard"}],
    "smooth": [{"use": "hard", "label_smoothing": 0.1}],
    "kl": [{"use": "kl"}],
    "mse": [{"use": "mse"}, {"use": "soft_ce"}],
    "hidden": [{"use": "hidden"}, {"use": "kl"}],
    "maps": [{"use": "attention"}, {"use": "relation"}, {"use": "cosine"}],
}


def on_the_cpu(monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    forget()


def forget() -> None:
    """Let accelerate choose its device anew."""
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state()
    PartialState._reset_state()


@pytest.fixture(autouse=True)
def _fresh():
    forget()
    yield
    forget()


def losses(toy, task, options, **kwargs) -> list[float]:
    net = kwargs.pop("net", None) or toy.model(task, dropout=0.0)
    walk = toy.steps(net, task, toy.features(task, 60), TrainOptions(**options), **kwargs)
    return [step.loss for step in walk]


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("task", ["classify", "tag"])
def test_a_gpu_learns_what_a_cpu_learns(toy, task, terms, monkeypatch):
    there = losses(toy, task, OPTIONS, terms=TERMS[terms])
    on_the_cpu(monkeypatch)
    here = losses(toy, task, OPTIONS, terms=TERMS[terms])
    assert there == pytest.approx(here, rel=2e-3)


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_every_precision_learns(toy, precision):
    exact = losses(toy, "tag", OPTIONS)
    near = losses(toy, "tag", OPTIONS | {"precision": precision})
    assert near == pytest.approx(exact, rel=0.1)


def test_accumulation_changes_no_loss(toy):
    whole = losses(toy, "tag", OPTIONS)
    assert losses(toy, "tag", OPTIONS | {"accumulation": 3}) == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "auto"])
def test_a_killed_training_goes_on_to_the_same_bits(toy, tmp_path, precision):
    options = TrainOptions(**OPTIONS | {"precision": precision, "save_minutes": 0.0})
    made, state = toy.features("tag", 60), tmp_path / "state.safetensors"
    unbroken = toy.model("tag")
    list(toy.steps(unbroken, "tag", made, options))
    walk = toy.steps(toy.model("tag"), "tag", made, options, state=state, key="a")
    for step in walk:
        if step.step == 7:
            break
    walk.close()
    again = toy.model("tag", seed=5)
    list(toy.steps(again, "tag", made, options, state=state, key="a"))
    for a, b in zip(unbroken.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("optimizer", ["lamb", "adamw"])
def test_a_gpu_pretrains_as_a_cpu(pretoy, tmp_path, optimizer, monkeypatch):
    options = build_config(PretrainOptions, PRETRAIN | {"optimizer": optimizer})
    found = []
    for place in ("gpu", "cpu"):
        if place == "cpu":
            on_the_cpu(monkeypatch)
        net = pretoy.model(dropout=0.0)
        found.append([s.loss for s in pretoy.steps(net, tmp_path / place, options)])
    assert found[0] == pytest.approx(found[1], rel=2e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_pretraining_learns_in_sixteen_bits(pretoy, tmp_path, precision):
    stages = [{"steps": 150, "length": 12, "rows": 16}]
    changes = {"stages": stages, "precision": precision, "optimizer": "adamw"}
    changes |= {"evaluate_every": 50}
    options = build_config(PretrainOptions, PRETRAIN | changes)
    steps = list(pretoy.steps(pretoy.model(dropout=0.0), tmp_path, options))
    assert steps[-1].loss < 0.9 * steps[0].loss
    assert not any(step.event for step in steps)


def test_a_killed_pretraining_goes_on_to_the_same_bits(pretoy, tmp_path):
    options = build_config(PretrainOptions, PRETRAIN)
    unbroken = pretoy.model()
    list(pretoy.steps(unbroken, tmp_path / "a", options))
    walk = pretoy.steps(pretoy.model(), tmp_path / "b", options)
    for step in walk:
        if step.step == 12:
            break
    walk.close()
    again = pretoy.model(seed=5)
    list(pretoy.steps(again, tmp_path / "b", options))
    for a, b in zip(unbroken.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def torchrun(script, given) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=1", f"--master_port={port}"]
    done = subprocess.run(
        [sys.executable, *launcher, str(script), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=200,
        stdin=subprocess.DEVNULL,
        env=dict(os.environ) | ({"ACCELERATE_USE_CPU": "1"} if DRY else {}),
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_one_process_of_torchrun_trains_as_none(toy, toy_path, tmp_path):
    options = OPTIONS | {"batch_size": 6}
    given = {"task": "tag", "out": str(tmp_path / "net"), "options": options, "dropout": 0.0}
    torchrun(toy_path, given)
    net = toy.model("tag", dropout=0.0)
    losses(toy, "tag", options, net=net)
    for name, value in load_file(tmp_path / "net").items():
        torch.testing.assert_close(value.cpu(), net.state_dict()[name].cpu())


def test_one_process_of_torchrun_pretrains_as_none(pretoy, pretoy_path, tmp_path):
    given = {"out": str(tmp_path / "net"), "folder": str(tmp_path / "a"), "options": PRETRAIN}
    torchrun(pretoy_path, given | {"dropout": 0.0})
    net = pretoy.model(dropout=0.0)
    list(pretoy.steps(net, tmp_path / "b", build_config(PretrainOptions, PRETRAIN)))
    for name, value in load_file(tmp_path / "net").items():
        torch.testing.assert_close(value.cpu(), dict(net.named_parameters())[name].detach().cpu())


def test_logits_come_in_order_from_many_batches(toy, device):
    net, made = toy.model("tag", dropout=0.0), toy.features("tag", 60)
    here = window_logits(net, made, pad_id=toy.PAD)
    there = window_logits(net.to(device), made, pad_id=toy.PAD, batch_tokens=40)
    for a, b, window in zip(here, there, made, strict=True):
        count = len(window.input_ids)
        np.testing.assert_allclose(a[:count], b[:count], rtol=1e-3, atol=1e-4)


def test_what_is_made_ahead_comes_in_order_and_so_do_errors(device):
    assert list(ahead(lambda n: n * n, range(9), device)) == [n * n for n in range(9)]

    def fails(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    walk = ahead(fails, range(9), device)
    assert [next(walk) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(walk)
