"""One optimiser step, shared by fine-tuning, distillation (`loop`) and pre-training (`pretrain`).

    found = gradients(run, micro_batches, number, tokens)   # backward over the process's share of the global batch
    norm = clip(run)
    move(run, lr)

The loss is the sum over the global batch (all processes, all micro-batches) divided by the global count, so neither
accumulation nor data parallelism changes it. The three parts are apart so that a caller can look at the loss and at
the norm before any weight has moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from destila.losses.weighted import WeightedLoss
from destila.training.batches import StateSource, each_tensor, to
from destila.training.sharding import whole
from destila.types import IGNORE, Batch, Objective, Output, Signal


@dataclass(frozen=True, slots=True)
class TrainContext:
    """What stays the same from step to step. model: wrapped for data parallelism where there is any.

    clip: largest global gradient norm; 0: not clipped. insight: what shows the inside of a teacher.
    """

    accelerator: Accelerator
    model: nn.Module
    optim: torch.optim.Optimizer
    task: Objective
    mix: WeightedLoss
    autocast: torch.dtype | None
    seed: int
    clip: float
    insight: StateSource | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The loss of a global batch and its unweighted parts by name. tokens: real ones, over all processes."""

    loss: float
    parts: Mapping[str, float]
    tokens: int


def trained(model: nn.Module, learned: nn.ModuleList) -> nn.Module:
    """All that the optimiser sees: the model, and what terms of the loss learn beside it."""
    return nn.ModuleDict({"student": model, "loss": learned}) if len(learned) else model


def gradients(run: TrainContext, batches: Sequence[Batch], number: int, tokens: int) -> Measured:
    """The loss of step `number` over this process's micro-batches; their gradients are left on the weights.

    tokens: real ones of this process.
    """
    world = run.accelerator.num_processes
    _seed_dropout(run.accelerator.device, run.seed, number, run.accelerator.process_index)
    run.model.train()
    counts, tokens = _count(run, batches, tokens)
    logged: dict[str, float] = {}
    for i, batch in enumerate(batches):
        quiet = world > 1 and i + 1 < len(batches)
        with run.accelerator.no_sync(run.model) if quiet else nullcontext():
            for name, value in _backward(run, batch, counts).items():
                logged[name] = logged.get(name, 0.0) + float(value)
    if world > 1:
        summed = run.accelerator.reduce(
            torch.tensor(list(logged.values()), device=run.accelerator.device), "sum"
        )
        logged = dict(zip(logged, summed.tolist(), strict=True))
    return Measured(logged.pop("loss"), logged, tokens)


def clip(run: TrainContext) -> float:
    """The global norm of the gradients, which are scaled down to `run.clip` where it is more; NaN when not clipped."""
    learned = list(run.mix.learned.parameters())
    if run.accelerator.num_processes > 1:
        for value in learned:  # no part of the wrapped model
            value.grad = run.accelerator.reduce(value.grad, "mean")
    if not run.clip:
        return math.nan
    return float(whole(nn.utils.clip_grad_norm_([*run.model.parameters(), *learned], run.clip)))


def move(run: TrainContext, lr: float) -> None:
    """Nothing; the weights take a step at rate `lr`, and the gradients are dropped."""
    for group in run.optim.param_groups:
        group["lr"] = lr
    run.optim.step()
    run.optim.zero_grad()


def silenced(batch: Batch) -> Batch:
    """The batch with nothing to learn from, for a process without any rows: the others wait for its gradients."""
    nothing, unlabelled = torch.zeros_like(batch.unit_mask), torch.full_like(batch.target, IGNORE)
    teacher = None if batch.teacher is None else Signal(batch.teacher.logits, nothing)
    inner = batch.inner
    if inner is not None:
        inner = replace(
            inner, masks={pool: torch.zeros_like(mask) for pool, mask in inner.masks.items()}
        )
    order = None if batch.order is None else torch.full_like(batch.order, IGNORE)
    return replace(
        batch, unit_mask=nothing, target=unlabelled, teacher=teacher, inner=inner, order=order
    )


def rows_of(batch: Batch, chosen: slice | np.ndarray) -> Batch:
    """Some rows of a batch that no teacher has seen yet and that has no Features."""
    return each_tensor(batch, lambda tensor: tensor[chosen])


def trimmed(batch: Batch, length: int) -> Batch:
    """The first positions of such a batch: the others are padding in all of its rows."""
    return each_tensor(batch, lambda tensor: tensor[:, :length])


def _count(run: TrainContext, batches: Sequence[Batch], tokens: int) -> tuple[list[float], int]:
    """Global counts, one per term, and the number of real tokens, over all processes and micro-batches."""
    each = [run.mix.counts(run.task, b) for b in batches]
    totals = torch.tensor([*map(sum, zip(*each, strict=True)), tokens], dtype=torch.int64)
    if run.accelerator.num_processes > 1:
        totals = run.accelerator.reduce(totals.to(run.accelerator.device), "sum")
    *counts, total = totals.tolist()
    return counts, total


def _backward(run: TrainContext, batch: Batch, counts: Sequence[float]) -> dict[str, Tensor]:
    """Add a micro-batch's gradients; returns its share of the loss and of every term."""
    batch = to(batch, run.accelerator.device)
    with (
        torch.autocast(run.accelerator.device.type, run.autocast) if run.autocast else nullcontext()
    ):
        if run.insight is not None:
            batch = run.insight.ask(batch)
        shown = run.mix.student_states
        output: Output = run.model(batch, states=shown) if shown else run.model(batch)
    loss, parts = run.mix(run.task, output, batch, counts)
    # data parallelism averages gradients over processes; ours is a sum
    (loss * run.accelerator.num_processes).backward()
    return {"loss": loss.detach(), **parts}


def _seed_dropout(device: torch.device, seed: int, number: int, rank: int) -> None:
    """A generator state of its own for every (seed, step, process)."""
    drawn = int(np.random.SeedSequence([seed, number, rank]).generate_state(1, np.uint64)[0] >> 1)
    # torch.manual_seed would also note a stack trace for every device that is not there, on every step
    torch.default_generator.manual_seed(drawn)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(drawn)
