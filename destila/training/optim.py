"""AdamW with decay groups, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from destila.training.options import TrainOptions


def build_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """The optimiser of a TrainOptions; see `adamw`."""
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
    """AdamW over trainable parameters; biases and LayerNorms (one dimension) are not decayed unless `decay_all`."""
    named = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in named if decay_all or p.dim() > 1]
    kept = [p for p in named if not decay_all and p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps, fused=True
    )


def lr_at(step: int, steps: int, options: TrainOptions) -> float:
    """Learning rate of optimiser step `step` (0-based) of `steps`: linear warm-up, then the chosen decay to 0."""
    warm = int(options.warmup * steps)
    if step < warm:
        return options.lr * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    if options.schedule == "linear":
        return options.lr * (1 - done)
    if options.schedule == "cosine":
        return options.lr * 0.5 * (1 + math.cos(math.pi * done))
    return options.lr


def autocast_precision(chosen: str, device: torch.device) -> str:
    """Return the autocast precision: "bf16" where chosen, or where "auto" meets hardware for it, else "no"."""
    if chosen != "auto":
        return "bf16" if chosen == "bf16" else "no"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "no"
