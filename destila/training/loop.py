"""The only training loop: a generator of steps. The caller saves, logs, stops and shows progress.

    for step in fit(model, task, mix, data, evaluate, options, seed=0, state=run / "state.safetensors"):
        log.write(step)
        if step.best: store.save(model, ...)

Fine-tuning and every kind of distillation differ only in task, terms and data. The loss is the sum over the
global batch (all processes, all micro-batches) divided by the global count, so neither accumulation nor data
parallelism changes it. The data order depends on (seed, epoch), dropout on (seed, step, process), the learning
rate on the step: resuming needs the weights, the optimiser's moments and a position, and continues bitwise as if
never stopped (same device and threads). A state is saved at every evaluation and every few minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from destila.errors import TrainingError
from destila.losses.weighted import WeightedLoss
from destila.training import processes
from destila.training import state as state_file
from destila.training.batches import StateSource, TeacherLogits, collate, order
from destila.training.optim import autocast_precision, lr_at, optimizer
from destila.training.options import TrainOptions
from destila.training.step import TrainContext, clip, gradients, move, silenced, trained
from destila.types import Batch, Features, Task

_COLLAPSED_AFTER = 3
"""Evaluations after warm-up with one constant prediction until a classifier is declared collapsed (spec T25)."""


@dataclass(frozen=True, slots=True)
class TrainData:
    """Encoded windows, and what the teacher says of each when one is distilled from.

    insight: shows the inside of the teacher. length: least tokens that batches are padded to.
    """

    features: Sequence[Features]
    pad_id: int
    teacher: TeacherLogits | None = None
    insight: StateSource | None = None
    length: int = 0

    def batch(self, chosen: Sequence[int] | np.ndarray) -> Batch:
        """The padded batch of some windows."""
        made = collate(
            [self.features[i] for i in chosen],
            self.pad_id,
            teacher=self.teacher,
            length=self.length,
        )
        return made if self.insight is None else self.insight.align(made)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A dev evaluation. main: the task's main score.

    constant: every prediction is the same class, which is a collapse when it lasts. uniform: every unit has the same
    label, which is worth a word at the end; a tagger may begin so.
    """

    main: float
    loss: float
    scores: Mapping[str, float]
    constant: bool = False
    uniform: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step. tokens: real (unpadded) ones, over all processes. best: save the weights now."""

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
class Position:
    """Where a run stands: completed steps and the history that selection needs."""

    key: str
    step: int = 0
    best: float = -math.inf
    worse: int = 0
    constant: int = 0
    stopped: str = ""


def fit(
    model: nn.Module,
    task: Task,
    mix: WeightedLoss,
    data: TrainData,
    evaluate: Callable[[], Evaluation],
    options: TrainOptions,
    *,
    seed: int,
    state: Path | None = None,
    key: str = "",
) -> Iterator[Step]:
    """Train `model` in place and yield every step; resumes from `state` when that file exists.

    key: what the run depends on; a state of another key is refused. Raises
    TrainingError when the loss is not finite or a classifier collapses.
    """
    accelerator = processes.accelerator()
    device = accelerator.device
    model.to(device)
    everything = trained(model, mix.learned.to(device))
    optim = optimizer(everything, options)
    position = _resume(state, everything, optim, key)
    if position.stopped:
        return
    run = TrainContext(
        accelerator,
        accelerator.prepare_model(model) if accelerator.num_processes > 1 else model,
        optim,
        task,
        mix,
        torch.bfloat16 if autocast_precision(options.precision, device) == "bf16" else None,
        seed,
        options.clip,
        data.insight,
    )
    per_epoch = math.ceil(len(data.features) / options.batch_size)
    steps = per_epoch * options.epochs
    lengths = np.array([len(f.input_ids) for f in data.features])
    saved = time.monotonic()
    for number in range(position.step, steps):
        epoch, index = divmod(number, per_epoch)
        if index == 0 or number == position.step:
            batches = order(
                lengths,
                options.batch_size,
                seed=seed,
                epoch=epoch,
                shuffle=options.shuffle,
                group=options.group,
            )
        step = replace(_step(run, data, options, batches[index], number, steps), epoch=epoch)
        due = number + 1 == steps or _evaluations(number + 1, per_epoch, options) > _evaluations(
            number, per_epoch, options
        )
        position = replace(position, step=number + 1)
        if due:
            evaluation = _agreed(accelerator, evaluate())
            position, best = _judge(
                position, evaluation, options, warm=number >= options.warmup * steps
            )
            if number + 1 == steps and not position.stopped:
                position = replace(position, stopped="done")
            step = replace(step, evaluation=evaluation, best=best, stopped=position.stopped)
        yield step
        if state and (due or time.monotonic() - saved > 60 * options.save_minutes):
            if (
                accelerator.is_main_process
            ):  # the others wait for its gradients, so their clocks need not agree
                state_file.save(state, everything, optim, asdict(position))
            saved = time.monotonic()
        if position.stopped:
            return


def _resume(
    state: Path | None, model: nn.Module, optim: torch.optim.Optimizer, key: str
) -> Position:
    if state is None or not state.exists():
        return Position(key)
    position = Position(**state_file.load(state, model, optim))
    if position.key != key:
        raise TrainingError(
            f"{state} belongs to a run with other settings or data: delete it to start this run from the beginning"
        )
    return position


def _agreed(accelerator: Accelerator, evaluation: Evaluation) -> Evaluation:
    """The first process's evaluation on all of them: rounding must not let one stop while another goes on."""
    if accelerator.num_processes > 1:
        evaluation = broadcast_object_list([evaluation])[0]
    return evaluation


def _evaluations(step: int, per_epoch: int, options: TrainOptions) -> int:
    """How many evaluations are due in the first `step` steps."""
    return int(step * options.evaluations / per_epoch + 1e-9)


def _step(
    run: TrainContext,
    data: TrainData,
    options: TrainOptions,
    positions: np.ndarray,
    number: int,
    steps: int,
) -> Step:
    """One optimiser step over this process's slice of the global batch."""
    mine = positions[run.accelerator.process_index :: run.accelerator.num_processes]
    batches = _micro_batches(data, mine, options.accumulation)
    lr = lr_at(number, steps, options)
    found = gradients(run, batches, number, sum(len(data.features[i].input_ids) for i in mine))
    _check_finite({"loss": found.loss, **found.parts}, number, lr)
    clip(run)
    move(run, lr)
    return Step(number + 1, steps, 0, found.loss, found.parts, lr, found.tokens)


def _micro_batches(data: TrainData, mine: np.ndarray, accumulation: int) -> list[Batch]:
    """The process's own windows in `accumulation` parts; one fully masked window when it has none."""
    if not len(mine):  # the other processes wait for this one's gradients all the same
        return [silenced(data.batch([0]))]
    return [data.batch(part) for part in np.array_split(mine, min(accumulation, len(mine)))]


def _judge(
    position: Position, evaluation: Evaluation, options: TrainOptions, *, warm: bool
) -> tuple[Position, bool]:
    """The position after an evaluation and whether its weights are to be kept."""
    if not (math.isfinite(evaluation.main) and math.isfinite(evaluation.loss)):
        raise TrainingError(
            f"the dev evaluation at step {position.step} is not finite (score {evaluation.main}, loss {evaluation.loss}): "
            f"the weights have grown out of bounds. Lower lr (now {options.lr:g}) or set clip"
        )
    criterion = -evaluation.loss if options.select == "loss" else evaluation.main
    better = criterion > position.best
    worse = 0 if better else position.worse + 1
    constant = position.constant + 1 if evaluation.constant and warm else 0
    if constant >= _COLLAPSED_AFTER:
        raise TrainingError(
            f"the classifier has collapsed: at {constant} evaluations in a row every dev prediction was the same class "
            f"(step {position.step}). Lower lr (now {options.lr:g}), raise batch_size, or warm up longer"
        )
    stopped = "patience" if options.patience is not None and worse > options.patience else ""
    best = max(criterion, position.best)
    kept = better or options.select == "last"
    return replace(position, best=best, worse=worse, constant=constant, stopped=stopped), kept


def _check_finite(logged: Mapping[str, float], number: int, lr: float) -> None:
    bad = [f"{name} = {value}" for name, value in logged.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"the loss is not finite at step {number + 1} ({', '.join(bad)}; lr {lr:g}): lower lr, set clip, or use precision = 'fp32'"
        )
