"""AdamW with decay groups, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from destila.training.options import TrainOptions


def build_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Return the optimiser of a TrainOptions; see `adamw`."""
    return adamw(
        model,
        lr=options.lr,
        betas=(0.9, options.beta2),
        eps=options.eps,
        weight_decay=options.weight_decay,
        decay_all=options.decay_all,
    )


def adamw(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decay_all: bool = False,
) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters (Loshchilov and Hutter 2019).

    Biases and LayerNorms, which have one dimension, are not decayed unless `decay_all`.
    """
    # matrices are decayed, vectors are not
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if decay_all or p.dim() > 1]
    spared = [p for p in trained if not decay_all and p.dim() <= 1]

    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=True)


def lr_at(step: int, steps: int, options: TrainOptions) -> float:
    """Return the rate of step `step` (from 0) of `steps`: linear warm-up, then a decay to 0."""
    warm = int(options.warmup * steps)
    if step < warm:
        return options.lr * (step + 1) / warm

    # share of the steps behind warm-up that are done
    done = (step - warm) / max(1, steps - warm)
    if options.schedule == "linear":
        return options.lr * (1 - done)
    if options.schedule == "cosine":
        return options.lr * 0.5 * (1 + math.cos(math.pi * done))
    return options.lr
