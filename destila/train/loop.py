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
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from destila.errors import TrainingError
from destila.losses.mix import Mix
from destila.train import processes
from destila.train import state as state_file
from destila.train.batches import Insight, Teach, collate, order, to
from destila.train.optim import lr_at, optimizer, precision
from destila.train.options import TrainOptions
from destila.types import IGNORE, Batch, Features, Output, Signal, Task

_COLLAPSED_AFTER = 3
"""Evaluations after warm-up with one constant prediction until a classifier is declared collapsed (spec T25)."""


@dataclass(frozen=True, slots=True)
class TrainData:
    """Encoded windows, and what the teacher says of each when one is distilled from.

    insight: shows the inside of the teacher. length: least tokens that batches are padded to.
    """

    features: Sequence[Features]
    pad_id: int
    teacher: Teach | None = None
    insight: Insight | None = None
    length: int = 0

    def batch(self, chosen: Sequence[int] | np.ndarray) -> Batch:
        """The padded batch of some windows."""
        made = collate([self.features[i] for i in chosen], self.pad_id, teacher=self.teacher, length=self.length)
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
    mix: Mix,
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
    trained = _trained(model, mix.learned.to(device))
    optim = optimizer(trained, options)
    position = _resume(state, trained, optim, key)
    if position.stopped:
        return
    run = _Run(
        accelerator,
        accelerator.prepare_model(model) if accelerator.num_processes > 1 else model,
        optim,
        task,
        mix,
        data,
        options,
        torch.bfloat16 if precision(options, device) == "bf16" else None,
        seed,
    )
    per_epoch = math.ceil(len(data.features) / options.batch_size)
    steps = per_epoch * options.epochs
    lengths = np.array([len(f.input_ids) for f in data.features])
    saved = time.monotonic()
    for number in range(position.step, steps):
        epoch, index = divmod(number, per_epoch)
        if index == 0 or number == position.step:
            batches = order(
                lengths, options.batch_size, seed=seed, epoch=epoch, shuffle=options.shuffle, group=options.group
            )
        step = replace(_step(run, batches[index], number, lr_at(number, steps, options)), steps=steps, epoch=epoch)
        due = number + 1 == steps or _evaluations(number + 1, per_epoch, options) > _evaluations(
            number, per_epoch, options
        )
        position = replace(position, step=number + 1)
        if due:
            evaluation = _agreed(accelerator, evaluate())
            position, best = _judge(position, evaluation, options, warm=number >= options.warmup * steps)
            if number + 1 == steps and not position.stopped:
                position = replace(position, stopped="done")
            step = replace(step, evaluation=evaluation, best=best, stopped=position.stopped)
        yield step
        if state and (due or time.monotonic() - saved > 60 * options.save_minutes):
            if accelerator.is_main_process:  # the others wait for its gradients, so their clocks need not agree
                state_file.save(state, trained, optim, asdict(position))
            saved = time.monotonic()
        if position.stopped:
            return


def _trained(model: nn.Module, learned: nn.ModuleList) -> nn.Module:
    """All that the optimiser sees: the model, and what terms of the loss learn beside it."""
    return nn.ModuleDict({"student": model, "loss": learned}) if len(learned) else model


def _resume(state: Path | None, model: nn.Module, optim: torch.optim.Optimizer, key: str) -> Position:
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


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same from step to step. model: wrapped for data parallelism where there is any."""

    accelerator: Accelerator
    model: nn.Module
    optim: torch.optim.Optimizer
    task: Task
    mix: Mix
    data: TrainData
    options: TrainOptions
    autocast: torch.dtype | None
    seed: int


def _step(run: _Run, positions: np.ndarray, number: int, lr: float) -> Step:
    """One optimiser step over this process's slice of the global batch."""
    world, rank = run.accelerator.num_processes, run.accelerator.process_index
    _seed_dropout(run.accelerator.device, run.seed, number, rank)
    run.model.train()
    mine = positions[rank::world]
    batches = _micro_batches(run.data, mine, run.options.accumulation)
    counts, tokens = _count(run, batches, sum(len(run.data.features[i].input_ids) for i in mine))
    for group in run.optim.param_groups:
        group["lr"] = lr
    logged: dict[str, float] = {}
    for i, batch in enumerate(batches):
        quiet = world > 1 and i + 1 < len(batches)
        with run.accelerator.no_sync(run.model) if quiet else nullcontext():
            for name, value in _backward(run, batch, counts).items():
                logged[name] = logged.get(name, 0.0) + float(value)
    if world > 1:
        summed = run.accelerator.reduce(torch.tensor(list(logged.values()), device=run.accelerator.device), "sum")
        logged = dict(zip(logged, summed.tolist(), strict=True))
    _check_finite(logged, number, lr)
    learned = list(run.mix.learned.parameters())
    if world > 1:
        for value in learned:  # no part of the wrapped model
            value.grad = run.accelerator.reduce(value.grad, "mean")
    if run.options.clip:
        nn.utils.clip_grad_norm_([*run.model.parameters(), *learned], run.options.clip)
    run.optim.step()
    run.optim.zero_grad()
    return Step(number + 1, 0, 0, logged.pop("loss"), logged, lr, tokens)


def _count(run: _Run, batches: Sequence[Batch], tokens: int) -> tuple[list[float], int]:
    """Global counts, one per term, and the number of real tokens, over all processes and micro-batches."""
    each = [run.mix.counts(run.task, b) for b in batches]
    totals = torch.tensor([*map(sum, zip(*each, strict=True)), tokens], dtype=torch.int64)
    if run.accelerator.num_processes > 1:
        totals = run.accelerator.reduce(totals.to(run.accelerator.device), "sum")
    *counts, total = totals.tolist()
    return counts, total


def _backward(run: _Run, batch: Batch, counts: Sequence[float]) -> dict[str, torch.Tensor]:
    """Add a micro-batch's gradients; returns its share of the loss and of every term."""
    batch = to(batch, run.accelerator.device)
    with torch.autocast(run.accelerator.device.type, run.autocast) if run.autocast else nullcontext():
        if run.data.insight is not None:
            batch = run.data.insight.ask(batch)
        shown = run.mix.student_states
        output: Output = run.model(batch, states=shown) if shown else run.model(batch)
    loss, parts = run.mix(run.task, output, batch, counts)
    # data parallelism averages gradients over processes; ours is a sum
    (loss * run.accelerator.num_processes).backward()
    return {"loss": loss.detach(), **parts}


def _micro_batches(data: TrainData, mine: np.ndarray, accumulation: int) -> list[Batch]:
    """The process's own windows in `accumulation` parts; one fully masked window when it has none."""
    if not len(mine):  # the other processes wait for this one's gradients all the same
        empty = data.batch([0])
        nothing, unlabelled = torch.zeros_like(empty.unit_mask), torch.full_like(empty.target, IGNORE)
        teacher = None if empty.teacher is None else Signal(empty.teacher.logits, nothing)
        inner = empty.inner
        if inner is not None:
            inner = replace(inner, masks={pool: torch.zeros_like(mask) for pool, mask in inner.masks.items()})
        return [replace(empty, unit_mask=nothing, target=unlabelled, teacher=teacher, inner=inner)]
    return [data.batch(part) for part in np.array_split(mine, min(accumulation, len(mine)))]


def _judge(position: Position, evaluation: Evaluation, options: TrainOptions, *, warm: bool) -> tuple[Position, bool]:
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


def _seed_dropout(device: torch.device, seed: int, number: int, rank: int) -> None:
    """A generator state of its own for every (seed, step, process)."""
    drawn = int(np.random.SeedSequence([seed, number, rank]).generate_state(1, np.uint64)[0] >> 1)
    # torch.manual_seed would also note a stack trace for every device that is not there, on every step
    torch.default_generator.manual_seed(drawn)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(drawn)
