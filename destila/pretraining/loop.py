"""Pre-training: the step of every other training, over a source of text without end. A generator, like `loop.fit`.

    for step in pretrain(model, TASK, mix, source, evaluate, options, seed=0, folder=run / "checkpoints"):
        log.write(step)

A run is a sequence of stages. Its position (steps, cursor of the source, statistics of the loss) goes with the weights
and moments into every checkpoint, so a run that was killed ends with the same bits as one that was not. When the loss
leaves its course (`divergence`), the weights and moments of the last good checkpoint come back, the data goes on behind
the place where it was noticed, and the learning rate is lowered for good; too many returns end the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn

from destila.errors import TrainingError
from destila.losses.term import Objective
from destila.losses.weighted import WeightedLoss
from destila.pretraining.lamb import lamb, polynomial_rate
from destila.pretraining.options import PretrainOptions
from destila.pretraining.prefetch import BatchSource, Prefetcher
from destila.pretraining.recovery import LossHistory, Rollback, describe_rollback, give_up
from destila.training import processes, state
from destila.training.batches import StateSource
from destila.training.checkpoint import Checkpoints
from destila.training.optim import adamw, autocast_precision
from destila.training.sharding import shard_model
from destila.training.step import (
    StepResult,
    TrainContext,
    apply_gradients,
    cut_padding,
    masked_out,
    select_rows,
    train_step,
    trainable,
)
from destila.types import Batch

M = TypeVar("M", bound=nn.Module)
Evaluate = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class PretrainStep:
    """One optimiser step, or one that was not made because the loss had left its course.

    step: steps done, of `steps`. stage: its number, from 0. norm: of the gradient before clipping. tokens: real ones
    since the beginning, over all processes, those of abandoned steps too. seconds: of training since then, evaluations
    apart. event: what was done about a divergence; the next step is then one behind an earlier checkpoint. stopped: "done",
    or "time" when the sitting is over and the run can be gone on with.
    """

    step: int
    steps: int
    stage: int
    loss: float
    parts: Mapping[str, float]
    lr: float
    norm: float
    tokens: int
    seconds: float
    evaluation: Mapping[str, float] | None = None
    event: str = ""
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class PretrainPosition:
    """Where a run stands. cursor: of the next batch. factor: of the rate, after returns. course: of the current stage."""

    key: str
    cursor: Any
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    factor: float = 1.0
    course: LossHistory = field(default_factory=LossHistory)
    returns: tuple[Rollback, ...] = ()


def pretrain(
    model: nn.Module,
    task: Objective,
    mix: WeightedLoss,
    source: BatchSource,
    evaluate: Evaluate,
    options: PretrainOptions,
    *,
    seed: int,
    folder: Path,
    key: str = "",
    insight: StateSource | None = None,
    minutes: float | None = None,
) -> Iterator[PretrainStep]:
    """Train `model` in place and yield every step; goes on from the newest checkpoint in `folder`.

    evaluate: called every so often with the steps done, by every process; the first one's numbers count. key: what the
    run depends on; a checkpoint of another key is refused. minutes: end this sitting after so many, with a checkpoint;
    None: run to the end. insight: what shows the inside of a teacher, for the rows of one process.
    Raises TrainingError when the loss diverges again and again, or a checkpoint cannot be written or read.
    """
    began = time.monotonic()
    run, everything = _prepared(model, task, mix, options, seed, insight)
    disk = Checkpoints(
        folder,
        keep=options.keep,
        every=options.evaluate_every,
        behind=2 * options.recovery.patience,
    )
    with disk, Prefetcher(source, options, run.accelerator.device) as ahead:
        position = _resumed(run, disk, everything, key, source)
        saved = time.monotonic()
        while position.step < options.steps:
            started = time.monotonic()
            _deepen(model, options, position.step)
            step, position, lost = _step(run, ahead, position, options, started)
            if lost:
                position, event = _return(run, disk, everything, position, lost, options)
                yield replace(step, event=event)
                continue
            due = position.step % options.evaluate_every == 0 or position.step == options.steps
            if due:
                step = replace(
                    step, evaluation=_same(run.accelerator, dict(evaluate(position.step)))
                )
            over, save = _clock(run.accelerator, began, minutes, saved, options.save_minutes)
            step = replace(
                step, stopped="done" if position.step == options.steps else "time" if over else ""
            )
            yield step
            if due or over or save:
                _save(run, disk, everything, position)
                saved = time.monotonic()
            disk.check()
            if step.stopped:
                return


def load_weights(folder: Path, model: M) -> M:
    """The model with the values of the newest checkpoint in a folder; raises TrainingError where there is none."""
    disk = Checkpoints(folder, keep=1, every=1, behind=0)
    newest = disk.newest()
    if newest is None:
        raise TrainingError(f"there is no checkpoint in {folder}: start the run first")
    _, values = disk.read(newest)
    known = {f"model.{name}": p for name, p in model.named_parameters()}
    beside = "" if known.keys() <= values.keys() else "student."  # a loss that learns weights too
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(values[f"model.{beside}{name}"])
    return model


def learning_rate(step: int, options: PretrainOptions) -> float:
    """Learning rate of step `step`, counted from 0, before any return has lowered it."""
    horizon = options.horizon or options.steps
    warm = int(options.warmup * horizon)
    if options.schedule == "constant":
        return options.lr * min(1.0, (step + 1) / max(1, warm))
    if options.schedule == "from the peak" and step >= warm:
        return options.lr * max(0, horizon - step) / (horizon - warm)
    return polynomial_rate(step, peak=options.lr, warm=warm, horizon=horizon)


def _prepared(
    model: nn.Module,
    task: Objective,
    mix: WeightedLoss,
    options: PretrainOptions,
    seed: int,
    insight: StateSource | None,
) -> tuple[TrainContext, nn.Module]:
    """What stays the same from step to step, and all that is optimised."""
    accelerator = processes.accelerator(unused=not _all_used(model, mix, options))
    device, several = accelerator.device, accelerator.num_processes > 1
    model.to(device)
    encoder: Any = model.encoder
    if options.checkpointing:
        encoder.checkpointing = True
    if options.compile:
        for block in encoder.blocks:
            block.compile()
    if options.parallel == "fsdp" and several:
        if len(mix.learned):
            raise TrainingError(
                "a term of the loss learns weights of its own, which cannot be shared out: use ddp"
            )
        shard_model(model, device, accelerator.num_processes)
    everything = trainable(model, mix.learned.to(device))
    settings: dict[str, Any] = {
        "lr": options.lr,
        "betas": options.betas,
        "eps": options.eps,
        "weight_decay": options.weight_decay,
    }
    optim = (
        lamb(everything, **settings)
        if options.optimizer == "lamb"
        else adamw(everything, **settings)
    )
    wrapped = accelerator.prepare_model(model) if several and options.parallel == "ddp" else model
    autocast = torch.bfloat16 if autocast_precision(options.precision, device) == "bf16" else None
    context = TrainContext(
        accelerator=accelerator,
        model=wrapped,
        optimizer=optim,
        task=task,
        loss=mix,
        autocast=autocast,
        seed=seed,
        clip=options.clip,
        states=insight,
    )
    return context, everything


def _all_used(model: nn.Module, mix: WeightedLoss, options: PretrainOptions) -> bool:
    """Whether every weight gets a gradient at every step, which data parallelism has to know."""
    needs = {term.needs for _, term in mix.terms}
    heads = bool(needs & {"target", "signal"}) and (
        "order" in needs or getattr(model, "order", None) is None
    )
    return heads and all(stage.layers is None for stage in options.stages)


def _deepen(model: nn.Module, options: PretrainOptions, step: int) -> None:
    """The model runs as many layers as the stage wants."""
    if any(stage.layers is not None for stage in options.stages):
        encoder: Any = model.encoder
        encoder.depth = options.stages[options.stage(step)].layers or encoder.config.layers


def _resumed(
    run: TrainContext, disk: Checkpoints, everything: nn.Module, key: str, source: BatchSource
) -> PretrainPosition:
    """The position of the newest checkpoint, whose weights and moments are put back; the beginning, where there is none."""
    newest = _same(run.accelerator, disk.newest() if run.accelerator.is_main_process else None)
    if newest is None:
        position = PretrainPosition(key, source.start())
        _save(run, disk, everything, position)
        return position
    found, tensors = disk.read(newest)
    if found["key"] != key:
        raise TrainingError(
            f"{disk.path(newest)} belongs to a run with other settings or data: delete its folder to start from the beginning"
        )
    state.restore_state(tensors, everything, run.optimizer, where=disk.path(newest))
    return _position(found, source.start())


def _position(found: Mapping[str, Any], like: Any) -> PretrainPosition:
    """The position in a checkpoint. like: a cursor of the source."""
    returns = tuple(Rollback(**each) for each in found["returns"])
    return PretrainPosition(
        **{
            **found,
            "cursor": type(like)(**found["cursor"]),
            "course": LossHistory(**found["course"]),
            "returns": returns,
        }
    )


def _save(
    run: TrainContext, disk: Checkpoints, everything: nn.Module, position: PretrainPosition
) -> None:
    """A checkpoint, begun by the first process; the others give it their part of the weights."""
    tensors = state.state_tensors(everything, run.optimizer)
    if run.accelerator.is_main_process:
        disk.add(position.step, asdict(position), tensors)


def _step(
    run: TrainContext,
    ahead: Prefetcher,
    position: PretrainPosition,
    options: PretrainOptions,
    started: float,
) -> tuple[PretrainStep, PretrainPosition, Rollback | None]:
    """A step and the position behind it; the Return to be made instead when the loss has left its course."""
    number, stage = position.step, options.stage(position.step)
    batch, cursor = ahead.take(number, position.cursor)
    lr = learning_rate(number, options) * position.factor
    mine = _micro_batches(run, batch, options.accumulation)
    tokens = sum(int(each.mask.sum()) for each in mine)
    result = train_step(run, mine, number=number, tokens=tokens)
    course = LossHistory() if number and options.stage(number - 1) != stage else position.course
    bad = _not_finite(result)
    if not bad:
        course = course.after(result.loss, options.recovery)
        bad = "the loss rose" if course.high >= options.recovery.patience else ""
    lost = None
    if bad:
        suspects = max(course.high, position.course.high + 1)
        lost = Rollback(number + 1, number + 2 - suspects, 0, result.loss, course.lowest, lr, bad)
        run.optimizer.zero_grad()
    else:
        apply_gradients(run, lr)
    position = replace(
        position,
        step=number if bad else number + 1,
        cursor=cursor,
        tokens=position.tokens + result.tokens,
        seconds=position.seconds + time.monotonic() - started,
        course=course,
    )
    step = PretrainStep(
        number + 1,
        options.steps,
        stage,
        result.loss,
        result.parts,
        lr,
        result.norm,
        position.tokens,
        position.seconds,
    )
    return step, position, lost


def _not_finite(result: StepResult) -> str:
    """Which number of a step is not finite, in words."""
    if not all(map(math.isfinite, (result.loss, *result.parts.values()))):
        return "the loss was not finite"
    return "" if math.isfinite(result.norm) else "the gradient was not finite"


def _micro_batches(run: TrainContext, batch: Batch, accumulation: int) -> list[Batch]:
    """The process's rows of the global batch in `accumulation` parts by length; one silent row when it has none."""
    mine = select_rows(
        batch, slice(run.accelerator.process_index, None, run.accelerator.num_processes)
    )
    rows = len(mine.input_ids)
    if not rows:
        return [masked_out(_shown(run, select_rows(batch, slice(0, 1))))]
    if accumulation == 1:
        return [_shown(run, mine)]
    lengths = mine.mask.sum(1).numpy()
    parts = np.array_split(np.argsort(lengths, kind="stable"), min(accumulation, rows))
    return [
        _shown(run, cut_padding(select_rows(mine, part), int(lengths[part].max())))
        for part in parts
    ]


def _shown(run: TrainContext, batch: Batch) -> Batch:
    return batch if run.states is None else run.states.align_windows(batch)


def _return(
    run: TrainContext,
    disk: Checkpoints,
    everything: nn.Module,
    position: PretrainPosition,
    lost: Rollback,
    options: PretrainOptions,
) -> tuple[PretrainPosition, str]:
    """The position at the last good checkpoint, whose weights and moments are put back; and what to say of it.

    Raises TrainingError when there have been as many returns as there may be.
    """
    main, recovery = run.accelerator.is_main_process, options.recovery
    if main:
        disk.wait()
    good = _same(run.accelerator, disk.before(lost.began - 1 - recovery.patience) if main else None)
    lost = replace(lost, to=good)
    if len(position.returns) >= recovery.returns:
        raise give_up([*position.returns, lost], options)
    found, tensors = disk.read(good)
    state.restore_state(tensors, everything, run.optimizer, where=disk.path(good))
    back = _position(found, position.cursor)
    position = replace(
        position,
        step=good,
        factor=position.factor * recovery.factor,
        course=back.course,
        returns=(*position.returns, lost),
    )
    run.accelerator.wait_for_everyone()  # all have read what is replaced now
    if main:
        disk.replace(good, (asdict(position), tensors))
    return position, describe_rollback(lost, len(position.returns), options, recovery.factor)


def _clock(
    accelerator: Accelerator, began: float, minutes: float | None, saved: float, save_minutes: float
) -> tuple[bool, bool]:
    """Whether the sitting is over, and whether a checkpoint is due, by the first process's clock."""
    now = time.monotonic()
    over = minutes is not None and now - began > 60 * minutes
    answer: tuple[bool, bool] = _same(accelerator, (over, now - saved > 60 * save_minutes))
    return answer


def _same(accelerator: Accelerator, value: Any) -> Any:
    """The first process's value on all of them: neither rounding nor a clock must part them."""
    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value
