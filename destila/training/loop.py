"""The training loop for labelled data: a generator of steps.

    for step in fit(model, task, loss, data, evaluate, options, seed=0, state=run /
    "state.safetensors"):
        log.write(step)
        if step.best: store.save_model(model, ...)

The caller saves, logs, stops and shows progress. Fine-tuning and every kind of distillation are
this loop and differ only in task, terms and data; pre-training, whose text never ends, has a loop
of its own (`pretraining/pretrain_loop.py`) over the same step (`training/step.py`).

The data order depends on (seed, epoch), dropout on (seed, step, process), the learning rate on the
step. So resuming needs the weights, the optimiser's moments and a position, and continues bitwise
as if never stopped (same device and threads). A state is saved at every evaluation and every few
minutes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from destila.errors import TrainingError
from destila.losses.weighted import WeightedLoss
from destila.training import processes
from destila.training import state as state_file
from destila.training.feed import Feed, TrainData
from destila.training.optim import build_optimizer, lr_at
from destila.training.options import TrainOptions
from destila.training.precision import precision_for
from destila.training.step import (
    StepResult,
    TrainContext,
    apply_gradients,
    scaler_state,
    train_step,
    trainable,
)
from destila.types import Task

log = logging.getLogger(__name__)

_WARNED_AFTER = 3
"""Evaluations after warm-up with one constant prediction until a classifier is warned of."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation on the dev split.

    main: the task's main score.
    constant: every prediction is the same class, which is warned of when it lasts.
    uniform: every unit has the same label, which is worth a word at the end; a tagger may begin so.
    facts: what the folder of the evaluated weights says of them.
    """

    main: float
    loss: float
    scores: Mapping[str, float]
    constant: bool = False
    uniform: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step, as the caller logs it.

    step: steps done, of `steps`, e.g. 41 of 120.
    epoch: from 0, e.g. 1.
    loss, parts: of the global batch, e.g. 0.83 and {"hard": 0.9, "kl": 0.7}.
    lr: the learning rate it was made at, e.g. 1.6e-4.
    tokens: real (unpadded) ones, over all processes, e.g. 2904.
    evaluation: on dev, where one was due.
    best: save the weights now.
    stopped: why this is the last step, "done" or "patience"; "" when it is not.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    parts: Mapping[str, float]
    lr: float
    tokens: int
    evaluation: Evaluation | None = None
    best: bool = False
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class TrainPosition:
    """Where a run stands: steps done, and the history that selection needs.

    best: the criterion of the weights that are kept.
    worse: evaluations since then.
    constant: evaluations in a row with one constant prediction.
    scaler: that of float16, where it is used.
    """

    key: str
    step: int = 0
    best: float = -math.inf
    worse: int = 0
    constant: int = 0
    stopped: str = ""
    scaler: Mapping[str, Any] = field(default_factory=dict)


def fit(
    model: nn.Module,
    task: Task,
    loss: WeightedLoss,
    data: TrainData,
    evaluate: Callable[[], Evaluation],
    options: TrainOptions,
    *,
    seed: int,
    state: Path | None = None,
    key: str = "",
) -> Iterator[Step]:
    """Return the training of a model in place, a step whenever one is asked for.

    Args:
        model: gives an Output for a batch; moved to the device of this process.
        task: which logits meet which targets.
        loss: the weighted terms; what they learn is trained too.
        data: the windows, and the teacher's side of them.
        evaluate: scores the model on dev; called when an evaluation is due.
        options: optimiser, schedule, batches and selection.
        seed: of the data order and of dropout.
        state: file to resume from when it exists, and to save to; None: neither.
        key: what the run depends on; a state of another key is refused.

    Raises:
        TrainingError: the loss is not finite, or `state` is another run's.
    """
    # the model, what is optimised, and where an earlier run got to
    accelerator = processes.accelerator()
    device = accelerator.device
    model.to(device)
    everything = trainable(model, loss.learned.to(device))
    optim = build_optimizer(everything, options)
    position = _resume(state, everything, optim, key)
    if position.stopped:
        return iter(())

    context = _context(accelerator, model, optim, task, loss, data, options, seed)
    if context.scaler is not None and position.scaler:
        context.scaler.load_state_dict(dict(position.scaler))
    share = {"process": accelerator.process_index, "processes": accelerator.num_processes}
    feed = Feed(data, options, seed=seed, device=device, **share)
    return _steps(context, feed, evaluate, options, position, everything, state)


def _steps(
    context: TrainContext,
    feed: Feed,
    evaluate: Callable[[], Evaluation],
    options: TrainOptions,
    position: TrainPosition,
    everything: nn.Module,
    state: Path | None,
) -> Iterator[Step]:
    """Make every step from a position on, and yield it."""
    accelerator, steps = context.accelerator, feed.count
    saved = time.monotonic()
    with context.precision.products():
        for share in feed.steps(position.step):
            number = share.number
            result = train_step(context, share.batches, number=number, tokens=share.tokens)

            # the weights move only when the loss can be believed
            lr = lr_at(number, steps, options)
            _check_finite(result, number, lr)
            apply_gradients(context, lr)
            position = replace(position, step=number + 1)
            step = _describe(result, number=number, steps=steps, epoch=share.epoch, lr=lr)

            # evaluations are spread evenly over the run, and one is last
            due = number + 1 == steps or _is_due(number + 1, steps, options)
            if due:
                evaluation = _of_first_process(accelerator, evaluate())
                warm, last = number >= options.warmup * steps, number + 1 == steps
                position, best = _judge(position, evaluation, options, warm=warm, last=last)
                step = replace(step, evaluation=evaluation, best=best, stopped=position.stopped)

            yield step

            # the first process saves; the others wait for its gradients, so clocks need not agree
            if state and (due or time.monotonic() - saved > 60 * options.save_minutes):
                if accelerator.is_main_process:
                    position = replace(position, scaler=scaler_state(context))
                    state_file.save_state(state, everything, context.optimizer, asdict(position))
                saved = time.monotonic()
            if position.stopped:
                return


def _context(
    accelerator: Accelerator,
    model: nn.Module,
    optim: torch.optim.Optimizer,
    task: Task,
    loss: WeightedLoss,
    data: TrainData,
    options: TrainOptions,
    seed: int,
) -> TrainContext:
    """Gather what stays the same from step to step."""
    several = accelerator.num_processes > 1
    precision = precision_for(options.precision, accelerator.device)
    return TrainContext(
        accelerator=accelerator,
        model=accelerator.prepare_model(model) if several else model,
        optimizer=optim,
        task=task,
        loss=loss,
        precision=precision,
        seed=seed,
        clip=options.clip,
        states=data.states,
        scaler=precision.scaler(),
    )


def _describe(result: StepResult, *, number: int, steps: int, epoch: int, lr: float) -> Step:
    """Describe a step that was made, as the caller logs it."""
    return Step(
        step=number + 1,
        steps=steps,
        epoch=epoch,
        loss=result.loss,
        parts=result.parts,
        lr=lr,
        tokens=result.tokens,
    )


def _resume(
    state: Path | None, model: nn.Module, optim: torch.optim.Optimizer, key: str
) -> TrainPosition:
    """Put back the weights and moments of a saved state; return its position, or the beginning."""
    if state is None or not state.exists():
        return TrainPosition(key)

    position = TrainPosition(**state_file.load_state(state, model, optim))
    if position.key != key:
        raise TrainingError(
            f"{state} belongs to a run with other settings or data: "
            "delete it to start this run from the beginning"
        )
    return position


def _check_finite(result: StepResult, number: int, lr: float) -> None:
    """Raise TrainingError when the loss or one of its terms is NaN or infinite."""
    logged = {"loss": result.loss, **result.parts}
    bad = [f"{name} = {value}" for name, value in logged.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"the loss is not finite at step {number + 1} ({', '.join(bad)}; lr {lr:g}): "
            "lower lr, set clip, or use precision = 'fp32'"
        )


def _is_due(step: int, steps: int, options: TrainOptions) -> bool:
    """Return whether the number of evaluations due grows with step `step` of `steps`."""
    per_epoch = steps / options.epochs

    def evaluations(done: int) -> int:
        return int(done * options.evaluations / per_epoch + 1e-9)

    return evaluations(step) > evaluations(step - 1)


def _of_first_process(accelerator: Accelerator, evaluation: Evaluation) -> Evaluation:
    """Return the first process's evaluation on all: rounding must not let one alone stop."""
    if accelerator.num_processes > 1:
        evaluation = broadcast_object_list([evaluation])[0]
    return evaluation


def _judge(
    position: TrainPosition,
    evaluation: Evaluation,
    options: TrainOptions,
    *,
    warm: bool,
    last: bool,
) -> tuple[TrainPosition, bool]:
    """Return the position after an evaluation, and whether its weights are to be kept.

    Args:
        position: after the step that was evaluated.
        evaluation: of that step's weights.
        options: the criterion, and how many evaluations may pass without a better one.
        warm: whether warm-up is over; a constant prediction before is no collapse.
        last: whether no step comes behind this one.

    Raises:
        TrainingError: the scores are not finite.
    """
    if not (math.isfinite(evaluation.main) and math.isfinite(evaluation.loss)):
        raise TrainingError(
            f"the dev evaluation at step {position.step} is not finite "
            f"(score {evaluation.main}, loss {evaluation.loss}): "
            f"the weights have grown out of bounds. Lower lr (now {options.lr:g}) or set clip"
        )

    # a classifier that says one class again and again may recover, and is worth a word
    constant = position.constant + 1 if evaluation.constant and warm else 0
    if constant == _WARNED_AFTER:
        log.warning(
            "at %d evaluations in a row every dev prediction was the same class; it goes on. "
            "Where one class is most of the data: class_weights = 'balanced' under [train]; "
            "else lower lr (now %g), raise batch_size, or warm up longer",
            constant,
            options.lr,
        )

    # a tie is not better
    criterion = -evaluation.loss if options.select == "loss" else evaluation.main
    better = criterion > position.best
    worse = 0 if better else position.worse + 1
    stopped = "done" if last else ""
    if options.patience is not None and worse > options.patience:
        stopped = "patience"

    position = replace(
        position,
        best=max(criterion, position.best),
        worse=worse,
        constant=constant,
        stopped=stopped,
    )
    return position, better or options.select == "last"
