"""Which precision a recipe asks for on a device, and float16 with its scaler."""

from __future__ import annotations

import math

import pytest
import torch

from destila import cpu
from destila.training import step as steps
from destila.training.options import TrainOptions
from destila.training.precision import Precision, autocasting, precision_for

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("asked", ["fp32", "tf32", "bf16", "fp16"])
def test_a_chosen_precision_is_kept(asked):
    assert precision_for(asked, CPU).name == asked


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "amd", "precision"),
    [
        (True, True, False, "bf16"),
        (False, True, True, "bf16"),
        (False, True, False, "fp32"),  # Intel without AMX has bf16, and multiplies it slower
        (False, False, True, "fp32"),
        (False, False, False, "fp32"),
    ],
)
def test_auto_is_bf16_where_it_is_faster(amx, avx512_bf16, amd, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(cpu, "is_amd", lambda: amd)
    assert precision_for("auto", CPU).name == precision
    assert precision_for("auto", CPU, exact=True).name == "fp32"


@pytest.mark.parametrize(("has_bf16", "name"), [(True, "bf16"), (False, "fp16")])
def test_auto_on_a_gpu_is_sixteen_bits(has_bf16, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert precision_for("auto", GPU, exact=True).name == name


@pytest.mark.parametrize(
    ("precision", "inside"),
    [(Precision("tf32", GPU), "high"), (Precision("fp32", GPU), "highest"), (Precision("tf32", CPU), "highest")],
)  # fmt: skip
def test_tf32_is_for_the_products_of_a_gpu_alone(precision, inside):
    with precision.products():
        assert torch.get_float32_matmul_precision() == inside
    assert torch.get_float32_matmul_precision() == "highest"


def test_autocast_is_only_where_a_dtype_is_named():
    with autocasting(CPU, Precision("tf32", CPU).autocast):
        assert not torch.is_autocast_enabled("cpu")
    with autocasting(CPU, Precision("fp16", CPU).autocast):
        assert torch.get_autocast_dtype("cpu") == torch.float16


def losses(toy, net, options, **kwargs) -> list[float]:
    made = toy.features("tag", 60)
    walk = toy.steps(net, "tag", made, TrainOptions(**options), **kwargs)
    return [step.loss for step in walk]


HALF = {"epochs": 2, "batch_size": 6, "lr": 0.01, "precision": "fp16"}


def test_float16_learns_what_float32_learns(toy):
    half = losses(toy, toy.model("tag", dropout=0.0), HALF)
    whole = losses(toy, toy.model("tag", dropout=0.0), HALF | {"precision": "fp32"})
    assert half != whole
    assert half == pytest.approx(whole, rel=0.05)


def test_float16_goes_on_with_its_scale_after_a_kill(toy, tmp_path):
    """The scale of the gradients is part of the state: a run that goes on has equal bits."""
    options = HALF | {"save_minutes": 0.0}
    unbroken = toy.model("tag")
    losses(toy, unbroken, options)

    broken = toy.model("tag")
    made, state = toy.features("tag", 60), tmp_path / "state.safetensors"
    walk = toy.steps(broken, "tag", made, TrainOptions(**options), state=state, key="a")
    for step in walk:
        if step.step == 7:
            break
    walk.close()
    again = toy.model("tag", seed=5)
    losses(toy, again, options, state=state, key="a")
    for a, b in zip(unbroken.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_gradient_beyond_float16_costs_a_step_and_scale(toy, monkeypatch):
    """A scale that is too large is noticed before any weight moves."""
    results, scales = [], []
    train_step = steps.train_step

    def watched(context, batches, **kwargs):
        if not results:
            context.scaler.load_state_dict(context.scaler.state_dict() | {"scale": 2.0**120})
        results.append(train_step(context, batches, **kwargs))
        scales.append(context.scaler.get_scale())
        return results[-1]

    monkeypatch.setattr("destila.training.loop.train_step", watched)
    net = toy.model("tag", dropout=0.0)
    before = [p.detach().clone() for p in net.parameters()]
    walk = toy.steps(net, "tag", toy.features("tag", 60), TrainOptions(**HALF))
    next(walk)
    assert results[0].overflow
    assert not math.isfinite(results[0].norm)
    assert math.isfinite(results[0].loss)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    next(walk)
    assert scales[1] == scales[0] / 2
