"""One optimiser step, shared by `training/loop.py` and `pretraining/pretrain_loop.py`.

    result = train_step(context, micro_batches, number=number, tokens=tokens)
    apply_gradients(context, lr)

The loss is the sum over the global batch (all processes, all micro-batches) divided by the global
count, so neither accumulation nor data parallelism changes it. The two halves are apart so that a
loop can look at the loss and at the gradient's norm before any weight has moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from destila.losses.term import Objective
from destila.losses.weighted import WeightedLoss
from destila.training.batches import StateSource, map_tensors, to_device
from destila.training.precision import Precision, autocasting
from destila.training.sharding import whole_tensor
from destila.types import IGNORE, Batch, Output, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainContext:
    """What stays the same from step to step.

    model: wrapped for data parallelism where there is any, e.g. a `heads.Model`.
    optimizer: over all that is trained, see `trainable`, e.g. AdamW.
    precision: of the products, e.g. Precision("bf16", device).
    seed: of dropout, together with the step and the process, e.g. 0.
    clip: largest global gradient norm, e.g. 1.0; 0: not clipped.
    states: where the teacher's inner states come from; None when no term compares any.
    scaler: of gradients in float16; None in another precision.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: torch.optim.Optimizer
    task: Objective
    loss: WeightedLoss
    precision: Precision
    seed: int
    clip: float
    states: StateSource | None = None
    scaler: torch.amp.GradScaler | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step computed over the global batch, before any weight moved.

    loss, parts: the weighted loss, and its unweighted terms by name.
    norm: of the gradient before clipping; NaN when it is not clipped.
    tokens: real (unpadded) ones, over all processes.
    overflow: whether scaled gradients left the range of float16, so that the step will be left out.
    """

    loss: float
    parts: Mapping[str, float]
    norm: float
    tokens: int
    overflow: bool = False


def trainable(model: nn.Module, learned: nn.ModuleList) -> nn.Module:
    """Return all that the optimiser sees: the model, and what terms of the loss learn beside it."""
    return nn.ModuleDict({"student": model, "loss": learned}) if len(learned) else model


def train_step(
    context: TrainContext, batches: Sequence[Batch], *, number: int, tokens: int
) -> StepResult:
    """Compute the loss of one step and leave its clipped gradients on the weights.

    Args:
        context: what stays the same from step to step.
        batches: this process's micro-batches, on the CPU.
        number: steps done before this one.
        tokens: real tokens in `batches`.
    """
    accelerator, loss = context.accelerator, context.loss
    device, world = accelerator.device, accelerator.num_processes

    # dropout depends on (seed, step, process) alone, so a resumed run draws the same masks
    _seed_dropout(device, context.seed, number, accelerator.process_index)
    context.model.train()

    # every term is divided by its count over the global batch, known before any forward pass
    counts, tokens = _global_counts(context, batches, tokens)

    # forward and backward, one micro-batch at a time
    scaler = context.scaler
    computed: list[dict[str, Tensor]] = []  # of each micro-batch, on the device
    for i, batch in enumerate(batches):
        batch = to_device(batch, device)

        # processes exchange gradients once, behind their last micro-batch
        waits = world > 1 and i + 1 < len(batches)
        with accelerator.no_sync(context.model) if waits else nullcontext():
            with autocasting(device, context.precision.autocast):
                if context.states is not None:
                    batch = context.states.fetch(batch)
                states = loss.student_states
                output: Output = (
                    context.model(batch, states=states) if states else context.model(batch)
                )
            total, parts = loss(context.task, output, batch, counts)
            del output  # its memory is free before the next micro-batch needs as much

            # data parallelism averages gradients over processes; ours is a sum
            summed = total * world
            (summed if scaler is None else scaler.scale(summed)).backward()
        computed.append({"loss": total.detach(), **parts})

    # the one place where a GPU is waited for
    norms = _clip_gradients(context)
    values = [*chain.from_iterable(each.values() for each in computed), *norms]
    numbers = iter(torch.stack(values).tolist())
    logged: dict[str, float] = {}
    for each in computed:
        for name in each:
            logged[name] = logged.get(name, 0.0) + next(numbers)
    norm = next(numbers, math.nan)

    # what is logged is of the global batch too
    if world > 1:
        of_all = accelerator.reduce(torch.tensor(list(logged.values()), device=device), "sum")
        logged = dict(zip(logged, of_all.tolist(), strict=True))

    return StepResult(
        loss=logged.pop("loss"),
        parts=logged,
        norm=norm,
        tokens=tokens,
        overflow=scaler is not None and not math.isfinite(norm) and scaler.get_scale() > 1,
    )


def apply_gradients(context: TrainContext, lr: float) -> None:
    """Update the weights at learning rate `lr`, then clear the gradients."""
    for group in context.optimizer.param_groups:
        group["lr"] = lr
    if context.scaler is None:
        context.optimizer.step()
    else:  # without a step where gradients were not finite, and with a smaller scale from then on
        context.scaler.step(context.optimizer)
        context.scaler.update()
    context.optimizer.zero_grad()


def scaler_state(context: TrainContext) -> dict[str, Any]:
    """Return where the scaler of float16 stands, for a saved position; {} without one."""
    return {} if context.scaler is None else context.scaler.state_dict()


def masked_out(batch: Batch) -> Batch:
    """Return the batch with nothing to learn from.

    A process without any rows computes one such batch, because the others wait for its gradients.
    """
    no_unit = torch.zeros_like(batch.unit_mask)
    teacher = None if batch.teacher is None else Signal(batch.teacher.logits, no_unit)

    states = batch.teacher_states
    if states is not None:
        masks = {pool: torch.zeros_like(mask) for pool, mask in states.masks.items()}
        states = replace(states, masks=masks)

    return replace(
        batch,
        unit_mask=no_unit,
        target=torch.full_like(batch.target, IGNORE),
        teacher=teacher,
        teacher_states=states,
        order=None if batch.order is None else torch.full_like(batch.order, IGNORE),
    )


def select_rows(batch: Batch, rows: slice | np.ndarray) -> Batch:
    """Return some rows of a batch that no teacher has seen yet and that has no Features."""
    return map_tensors(batch, lambda tensor: tensor[rows])


def cut_padding(batch: Batch, length: int) -> Batch:
    """Return the first `length` positions of such a batch; all others must be padding."""
    return map_tensors(batch, lambda tensor: tensor[:, :length])


def _global_counts(
    context: TrainContext, batches: Sequence[Batch], tokens: int
) -> tuple[list[float], int]:
    """Count what each term is summed over, and the real tokens, over all processes and batches."""
    counts = [context.loss.counts(context.task, batch) for batch in batches]
    totals = torch.tensor([*map(sum, zip(*counts, strict=True)), tokens], dtype=torch.int64)
    if context.accelerator.num_processes > 1:
        totals = context.accelerator.reduce(totals.to(context.accelerator.device), "sum")
    *term_counts, all_tokens = totals.tolist()
    return term_counts, all_tokens


def _clip_gradients(context: TrainContext) -> list[Tensor]:
    """Scale the gradients down to `context.clip`; return their norm before, [] when unclipped."""
    learned = list(context.loss.learned.parameters())

    # weights that terms learn are no part of the wrapped model: nobody has averaged theirs yet
    if context.accelerator.num_processes > 1:
        for weight in learned:
            weight.grad = context.accelerator.reduce(weight.grad, "mean")

    if context.scaler is not None:
        context.scaler.unscale_(context.optimizer)
    if not context.clip:
        return []
    weights = [*context.model.parameters(), *learned]
    return [whole_tensor(nn.utils.clip_grad_norm_(weights, context.clip))]


def _seed_dropout(device: torch.device, seed: int, number: int, rank: int) -> None:
    """Give every (seed, step, process) a generator state of its own."""
    entropy = np.random.SeedSequence([seed, number, rank])
    state = int(entropy.generate_state(1, np.uint64)[0] >> 1)

    # torch.manual_seed would also note a stack trace for every absent device, on every step
    torch.default_generator.manual_seed(state)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(state)
