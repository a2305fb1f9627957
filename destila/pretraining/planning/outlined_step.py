"""A step of a pre-training on invented rows: outlined for its memory, or computed and timed.

Both build the same model, loss and batch, so what is planned can be checked by what is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from destila.losses.term import LossContext, ModelShape
from destila.losses.weighted import WeightedLoss, build_loss
from destila.measuring.step_memory import LiveBytes, OutlinedStep, StepMemory, outline_step
from destila.models.architecture import EncoderConfig
from destila.models.encoder import STATES
from destila.models.mlm import MaskedModel
from destila.pretraining.lamb import lamb
from destila.pretraining.objective import OBJECTIVE
from destila.pretraining.pretrain_options import Stage
from destila.pretraining.pretrain_recipe import PretrainRecipe
from destila.teachers.live_states import LiveStates
from destila.training.batches import to_device
from destila.training.devices import waiter
from destila.training.optim import adamw
from destila.training.precision import Precision, autocasting
from destila.training.step import trainable
from destila.types import IGNORE, Batch, Signal, TeacherStates


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShape:
    """What decides the memory of a step.

    shape, teacher: of the models; None: there is no teacher.
    rows: of a micro-batch, on one device.
    precision: of the products: fp32, tf32, bf16 or fp16.
    """

    shape: EncoderConfig
    teacher: EncoderConfig | None
    rows: int
    precision: str


def pretraining_memory(recipe: PretrainRecipe, stage: Stage, step: StepShape) -> StepMemory:
    """Return what a step of a stage takes, without computing one.

    Args:
        recipe: terms, optimiser, masking.
        stage: length of rows, share of masked tokens, layers.
        step: models and rows.
    """
    device = torch.device("cpu")
    return outline_step(
        lambda: _invented(recipe, stage, step, device), lambda trained: _optimizer(trained, recipe)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """What a step took here. peak: bytes of tensors. seconds: of the fastest one."""

    peak: int
    seconds: float


def measure_step(
    recipe: PretrainRecipe, stage: Stage, step: StepShape, device: torch.device, *, repeats: int = 3
) -> MeasuredStep:
    """Compute some steps of a stage on a device.

    Args:
        recipe: terms, optimiser, masking.
        stage: length of rows, share of masked tokens, layers.
        step: models and rows.
        device: that computes.
        repeats: steps that are timed, behind two that are not.
    """
    wait = waiter(device) or (lambda: None)
    invented = _invented(recipe, stage, step, device)
    optimizer = _optimizer(invented.model, recipe)

    def once() -> float:
        started = time.perf_counter()
        invented.forward().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(invented.model.parameters(), recipe.train.clip)
        optimizer.step()
        optimizer.zero_grad()
        wait()
        return time.perf_counter() - started

    # The first step makes the moments; then the memory of one, and the time of others.
    once()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        once()
        peak = torch.cuda.max_memory_allocated(device)
    else:
        held = LiveBytes(before=_tensors(invented, optimizer))
        with held:
            once()
        peak = held.peak
    return MeasuredStep(peak=peak, seconds=min(once() for _ in range(repeats)))


def _tensors(invented: OutlinedStep, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the weights and the moments of a step."""
    moments = [each for state in optimizer.state.values() for each in state.values()]
    return [*invented.model.parameters(), *moments]


def _optimizer(trained: nn.Module, recipe: PretrainRecipe) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe."""
    options = recipe.train
    make = lamb if options.optimizer == "lamb" else adamw
    return make(
        trained,
        lr=options.lr,
        betas=options.betas,
        eps=options.eps,
        weight_decay=options.weight_decay,
    )


def _invented(
    recipe: PretrainRecipe, stage: Stage, step: StepShape, device: torch.device
) -> OutlinedStep:
    """Return model and loss of a step on invented rows."""
    order = recipe.model.order
    with device:
        model = MaskedModel(step.shape, order=order).train()
    model.encoder.depth = stage.layers or step.shape.layers
    model.encoder.checkpointing = recipe.train.checkpointing
    loss, states = _loss(recipe, step)

    # Runs of the Flash kernel need no bias; every row counts as one run.
    autocast = Precision(step.precision, device).autocast
    runs = autocast is not None and not step.shape.attention_dropout
    every = states is not None and recipe.teacher.tokens == "all" and loss.needs_signal
    rate = 1.0 if every else stage.rate or recipe.feed.masking.rate
    batch = _batch(step.rows, stage.length, rate, order=order, runs=runs)
    if states is not None:
        batch = _aligned(batch, loss)
    batch = to_device(batch, device)

    def forward() -> Tensor:
        asked = batch
        with autocasting(device, autocast):
            if states is not None:
                asked = states.fetch(batch)
            wanted = loss.student_states
            output = model(asked, states=wanted) if wanted else model(asked)
        total, _ = loss(OBJECTIVE, output, asked, [1] * len(loss.terms))
        return total

    return OutlinedStep(model=trainable(model, loss.learned), forward=forward)


def _loss(recipe: PretrainRecipe, step: StepShape) -> tuple[WeightedLoss, LiveStates | None]:
    """Return the loss of a recipe, and its teacher."""
    plain = build_loss(recipe.terms)
    if step.teacher is None:
        return plain, None
    context = LossContext(
        student=_shape(step.shape, "student"),
        teacher=_shape(step.teacher, "teacher"),
        axis=2,
        seed=recipe.seed,
    )
    loss = build_loss(recipe.terms, setting=context)
    teacher = MaskedModel(step.teacher)
    return loss, LiveStates(teacher, loss.teacher_states, whole=False, signal=loss.needs_signal)


def _aligned(batch: Batch, loss: WeightedLoss) -> Batch:
    """Add which positions count to a batch that both models read: all."""
    masks = dict.fromkeys(loss.teacher_states, batch.mask)
    batch = replace(batch, teacher_states=TeacherStates(masks))
    if not loss.needs_signal:
        return batch
    count = len(batch.places["unit_mask"])
    every = torch.ones(1, count, dtype=torch.bool)
    return replace(batch, teacher=Signal(torch.zeros(1, count, 0), every))


def _shape(config: EncoderConfig, name: str) -> ModelShape:
    return ModelShape(name, "the same", config.layers, config.hidden, config.heads, STATES)


def _batch(rows: int, length: int, rate: float, *, order: bool, runs: bool) -> Batch:
    """Return the outline of a full batch, whose places are known as on a GPU.

    Args:
        rows: of the batch.
        length: of a row.
        rate: share of the tokens that the model is asked for.
        order: whether each row has a label of order.
        runs: whether the kernel for runs is taken.
    """
    ids = torch.zeros(rows, length, dtype=torch.int64)
    token = torch.arange(length).expand_as(ids)
    places = {"unit_mask": torch.zeros(int(rate * ids.numel()), dtype=torch.int64)}
    if order:
        places["order"] = torch.zeros(rows, dtype=torch.int64)
    if runs:
        places["starts"] = torch.zeros(rows + 1, dtype=torch.int32)
    batch = Batch(
        features=(),
        input_ids=ids,
        mask=torch.ones_like(ids, dtype=torch.bool),
        type_ids=torch.zeros_like(ids),
        unit=token,
        first=token,
        unit_mask=torch.ones_like(ids, dtype=torch.bool),
        target=torch.zeros_like(ids),
        positions=token,
        pair=None if runs else torch.ones_like(ids),
        order=torch.full_like(ids, IGNORE) if order else None,
    )
    return replace(batch, places=places)
