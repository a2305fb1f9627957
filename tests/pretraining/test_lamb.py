"""LAMB against its formulas by hand, and the rate whose horizon is not the steps run."""

from __future__ import annotations

import math

import pytest
import torch

from destila.pretraining.lamb import Lamb, lamb, polynomial_rate

B1, B2, EPS, DECAY, LR = 0.9, 0.999, 1e-6, 0.01, 0.1


def by_hand(w: list[float], gradients: list[list[float]], *, adapt: bool) -> list[float]:
    m, v = [0.0] * len(w), [0.0] * len(w)
    for g in gradients:
        m = [B1 * a + (1 - B1) * x for a, x in zip(m, g, strict=True)]
        v = [B2 * a + (1 - B2) * x * x for a, x in zip(v, g, strict=True)]
        u = [
            a / (math.sqrt(b) + EPS) + (DECAY * x if adapt else 0)
            for a, b, x in zip(m, v, w, strict=True)
        ]
        long, far = math.hypot(*w), math.hypot(*u)
        ratio = long / far if adapt and long > 0 and far > 0 else 1.0
        w = [x - LR * ratio * y for x, y in zip(w, u, strict=True)]
    return w


def trained(
    model: torch.nn.Module, gradients: list[dict[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    optim = lamb(model, lr=LR)
    for step in gradients:
        for name, weight in model.named_parameters():
            weight.grad = step[name].clone()
        optim.step()
    return {name: weight.detach() for name, weight in model.named_parameters()}


def linear() -> torch.nn.Linear:
    model = torch.nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -1.0], [2.0, 0.25]]))
        model.bias.copy_(torch.tensor([0.3, -0.4]))
    return model


STEPS = [
    {"weight": torch.tensor([[0.1, -0.2], [0.3, 0.4]]), "bias": torch.tensor([1.0, -2.0])},
    {"weight": torch.tensor([[-0.5, 0.2], [0.0, 0.1]]), "bias": torch.tensor([0.5, 0.5])},
]


def test_a_matrix_has_decay_and_a_trust_ratio():
    hand = by_hand(
        [0.5, -1.0, 2.0, 0.25], [s["weight"].flatten().tolist() for s in STEPS], adapt=True
    )
    assert trained(linear(), STEPS)["weight"].flatten().tolist() == pytest.approx(hand, rel=1e-5)


def test_a_bias_has_neither():
    hand = by_hand([0.3, -0.4], [s["bias"].tolist() for s in STEPS], adapt=False)
    assert trained(linear(), STEPS)["bias"].tolist() == pytest.approx(hand, rel=1e-5)


def test_first_step_without_bias_correction():
    """The first step is not corrected for moments that start at zero."""
    moved = 0.3 - trained(linear(), STEPS[:1])["bias"][0].item()
    assert moved == pytest.approx(
        LR * 0.1 / math.sqrt(0.001), rel=1e-3
    )  # 3.16 lr; Adam's would be lr


def test_weights_or_steps_of_zero_have_a_ratio_of_one():
    model = linear()
    torch.nn.init.zeros_(model.weight)
    found = trained(model, STEPS[:1])["weight"].flatten().tolist()
    assert found == pytest.approx(
        by_hand([0.0] * 4, [STEPS[0]["weight"].flatten().tolist()], adapt=True), rel=1e-5
    )
    still = Lamb([weight := torch.nn.Parameter(torch.ones(2, 2))], lr=LR, weight_decay=0.0)
    weight.grad = torch.zeros(2, 2)
    still.step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_layer_norms_are_left_out_and_frozen_weights_stay():
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Embedding(4, 3)
    )
    model[0].weight.requires_grad_(False)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = {
        names[id(p)]: (g["adapt"], g["weight_decay"])
        for g in lamb(model, lr=1).param_groups
        for p in g["params"]
    }
    out = (False, 0.0)
    assert groups == {"0.bias": out, "1.weight": out, "1.bias": out, "2.weight": (True, 0.01)}


def test_a_saved_state_goes_on_bitwise():
    whole = trained(linear(), STEPS)
    model = linear()
    optim = lamb(model, lr=LR)
    for i, step in enumerate(STEPS):
        if i == 1:
            saved = optim.state_dict()
            optim = lamb(model, lr=LR)
            optim.load_state_dict(saved)
        for name, weight in model.named_parameters():
            weight.grad = step[name].clone()
        optim.step()
    assert all(torch.equal(w.detach(), whole[name]) for name, w in model.named_parameters())


def test_it_learns():
    torch.manual_seed(0)
    model, x = torch.nn.Linear(4, 4), torch.randn(64, 4)
    optim = lamb(model, lr=0.02)
    losses = []
    for _ in range(300):
        loss = (model(x) - x).square().mean()
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def rate(step: int, **other: float) -> float:
    return polynomial_rate(step, **({"peak": 2.0, "warm": 10, "horizon": 100} | other))


def test_rate_rises_from_zero_and_falls_to_zero():
    """The rate rises from zero and falls to zero at the horizon."""
    assert [rate(0), rate(5), rate(50), rate(100), rate(150)] == pytest.approx(
        [0.0, 1.0, 1.0, 0.0, 0.0]
    )


def test_the_rate_drops_a_little_when_the_fall_takes_over():
    assert rate(9) == pytest.approx(1.8)
    assert rate(10) == pytest.approx(1.8)
    assert rate(10, warm=0) == pytest.approx(1.8)
    assert rate(50, power=2.0) == pytest.approx(0.5)


def test_a_run_that_stops_early_has_the_rates_of_the_whole():
    published = {
        "peak": 1.25e-3,
        "warm": 125_000,
        "horizon": 10_000_000,
    }  # ALBETO tiny, stopped at step 8,300,000
    assert polynomial_rate(8_300_000, **published) == pytest.approx(0.17 * 1.25e-3)
