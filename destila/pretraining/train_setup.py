"""What stays the same from step to step of a pre-training: model, optimiser, learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from destila.errors import TrainingError
from destila.losses.term import Objective
from destila.losses.weighted import WeightedLoss
from destila.pretraining.lamb import lamb, polynomial_rate
from destila.pretraining.pretrain_options import PretrainOptions
from destila.training import processes
from destila.training.batches import StateSource
from destila.training.checkpoint import Checkpoints
from destila.training.optim import adamw
from destila.training.precision import precision_for
from destila.training.sharding import shard_model
from destila.training.step import TrainContext, trainable

M = TypeVar("M", bound=nn.Module)


def prepare_training(
    model: nn.Module,
    task: Objective,
    loss: WeightedLoss,
    options: PretrainOptions,
    seed: int,
    states: StateSource | None,
) -> tuple[TrainContext, nn.Module]:
    """Set up what stays the same from step to step, and all that is optimised."""
    accelerator = processes.accelerator(unused=not _all_used(model, loss, options))
    device, several = accelerator.device, accelerator.num_processes > 1
    model.to(device)

    # What saves memory or time inside the layers.
    encoder: Any = model.encoder
    if options.checkpointing:
        encoder.checkpointing = True
    if options.compile:
        for block in encoder.blocks:
            block.compile()

    # Shared out first: the optimiser keeps moments of the shards alone.
    if options.parallel == "fsdp" and several:
        if len(loss.learned):
            raise TrainingError(
                "a term of the loss learns weights of its own, which cannot be shared out: use ddp"
            )
        shard_model(model, device, accelerator.num_processes)

    trained = trainable(model, loss.learned.to(device))
    settings: dict[str, Any] = {
        "lr": options.lr,
        "betas": options.betas,
        "eps": options.eps,
        "weight_decay": options.weight_decay,
    }
    make = lamb if options.optimizer == "lamb" else adamw
    ddp = several and options.parallel == "ddp"
    precision = precision_for(options.precision, device)
    if precision.name == "fp16" and options.parallel == "fsdp" and several:
        raise TrainingError(
            "fp16 scales gradients, which are shared out here: use precision = 'bf16', or ddp"
        )
    context = TrainContext(
        accelerator=accelerator,
        optimizer=make(trained, **settings),
        model=accelerator.prepare_model(model) if ddp else model,
        task=task,
        loss=loss,
        precision=precision,
        seed=seed,
        clip=options.clip,
        states=states,
        scaler=precision.scaler(),
    )
    return context, trained


def _all_used(model: nn.Module, loss: WeightedLoss, options: PretrainOptions) -> bool:
    """Tell whether every weight gets a gradient at every step, as data parallelism has to know."""
    needs = {term.needs for _, term in loss.terms}
    words = bool(needs & {"target", "signal"})
    order = "order" in needs or getattr(model, "order", None) is None
    return words and order and all(stage.layers is None for stage in options.stages)


def learning_rate(step: int, options: PretrainOptions) -> float:
    """Compute the rate of step `step`, counted from 0, before any return has lowered it."""
    horizon = options.horizon or options.steps
    warm = int(options.warmup * horizon)
    if options.schedule == "constant":
        return options.lr * min(1.0, (step + 1) / max(1, warm))
    if options.schedule == "from the peak" and step >= warm:
        return options.lr * max(0, horizon - step) / (horizon - warm)
    return polynomial_rate(step, peak=options.lr, warm=warm, horizon=horizon)


def load_weights(folder: Path, model: M) -> M:
    """Give a model the values of the newest checkpoint in a folder.

    Raises:
        TrainingError: there is no checkpoint.
    """
    disk = Checkpoints(folder, keep=1, every=1, behind=0)
    newest = disk.newest()
    if newest is None:
        raise TrainingError(f"there is no checkpoint in {folder}: start the run first")

    # Where the loss learns weights too, the model is the part that is called student.
    _, values = disk.read(newest)
    names = {f"model.{name}" for name, _ in model.named_parameters()}
    prefix = "model." if names <= values.keys() else "model.student."
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(values[prefix + name])
    return model
