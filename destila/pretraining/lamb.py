"""LAMB and its learning rate, as the ALBERT code has them (You et al. 2020, with four differences).

    m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
    u = m / (sqrt(v) + eps) + decay w
    w = w - lr r u,              r = |w| / |u| when both are above 0, else 1

The moments are not corrected for their start at 0; the norm of the weights is not clipped; biases
and LayerNorms have neither decay nor a trust ratio r; gradients are clipped by their global norm
before, at 1, by whoever calls `step`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


class Lamb(torch.optim.Optimizer):
    """LAMB; a group's `adapt` says whether its weights have a trust ratio.

    See `lamb` for the groups of a model.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        adapt: bool = True,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "adapt": adapt},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every weight that has a gradient; return the closure's value, None without one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()

        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for same in _of_one_kind(weights):
                self._update(same, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update weights of one group by the three lines of the module's formula, all at once.

        A GPU is given one piece of work for all of them, not one for each.
        """
        for weight in weights:
            if not self.state[weight]:
                self.state[weight].update(m=torch.zeros_like(weight), v=torch.zeros_like(weight))
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        m = [self.state[weight]["m"] for weight in weights]
        v = [self.state[weight]["v"] for weight in weights]

        # The moments, in place.
        first, second = group["betas"]
        torch._foreach_lerp_(m, gradients, 1 - first)
        torch._foreach_mul_(v, second)
        torch._foreach_addcmul_(v, gradients, gradients, value=1 - second)

        roots = torch._foreach_sqrt(v)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(m, roots)
        if group["weight_decay"]:
            torch._foreach_add_(updates, weights, alpha=group["weight_decay"])

        # The trust ratios stay on the device, so that nothing waits for them.
        if group["adapt"]:
            lengths, distances = torch._foreach_norm(weights), torch._foreach_norm(updates)
            for update, length, distance in zip(updates, lengths, distances, strict=True):
                both = (length > 0) & (distance > 0)
                update.mul_(torch.where(both, length / distance, 1.0))
        torch._foreach_add_(weights, updates, alpha=-group["lr"])


def _of_one_kind(weights: list[Tensor]) -> list[list[Tensor]]:
    """Return weights as one list; each alone where they are shared out among processes."""
    if any(isinstance(weight, DTensor) for weight in weights):
        return [[weight] for weight in weights]
    return [weights] if weights else []


def lamb(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
) -> Lamb:
    """Build LAMB over the trainable weights of a model.

    Weights of one dimension (biases, LayerNorms) have neither a trust ratio nor decay.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in trained if p.dim() > 1],
            "weight_decay": weight_decay,
            "adapt": True,
        },
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0, "adapt": False},
    ]
    return Lamb([g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps)


def polynomial_rate(
    step: int, *, peak: float, warm: int, horizon: int, power: float = 1.0
) -> float:
    """Compute the learning rate of a step as the ALBERT code has it.

    It rises linearly from 0 for `warm` steps, then falls to 0 at `horizon`, whatever steps are run
    in the end: ALBETO stopped after 35 to 83 % of its horizons (trap T31 of the fact sheet). The
    fall counts from step 0, so the rate drops from the peak to (1 - warm / horizon)^power of it
    when it takes over.

    Args:
        step: counted from 0.
        peak: the highest rate.
        warm: steps of warm-up.
        horizon: step at which the rate reaches 0.
        power: of the decay; 1 is linear.
    """
    if step < warm:
        return peak * step / warm
    return peak * math.pow(max(0.0, 1 - step / horizon), power)
