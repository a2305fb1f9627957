"""Pre-training: the step of every other training, over a source of text without end.

    for step in pretrain(model, TASK, loss, source, evaluate, options, seed=0, folder=folder):
        log.write(step)

A generator, like `training.loop.fit`. A run is a sequence of stages. Its position (steps, cursor
of the source, statistics of the loss) goes with the weights and moments into every checkpoint, so a
run that was killed ends with the same bits as one that was not. When the loss leaves its course
(`recovery`), the weights and moments of the last good checkpoint come back, the data goes on behind
the place where it was noticed, and the learning rate is lowered for good; too many returns end the
run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from destila.errors import TrainingError
from destila.losses.term import Objective
from destila.losses.weighted import WeightedLoss
from destila.pretraining.prefetch import BatchSource, Prefetcher
from destila.pretraining.pretrain_options import PretrainOptions
from destila.pretraining.recovery import LossHistory, Rollback, describe_rollback, give_up
from destila.pretraining.train_setup import learning_rate, prepare_training
from destila.training import state
from destila.training.batches import StateSource
from destila.training.checkpoint import Checkpoints
from destila.training.processes import meet
from destila.training.step import (
    StepResult,
    TrainContext,
    apply_gradients,
    scaler_state,
    train_step,
)

Evaluate = Callable[[int], Mapping[str, float]]

_CLOCK_EVERY = 10
"""Steps after which several processes agree on the time: it costs each a wait for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainStep:
    """One optimiser step, or one that was not made because the loss had left its course.

    step: steps done, of `steps`, e.g. 1200 of 5000.
    stage: its number, from 0.
    loss, parts: the weighted loss, e.g. 4.31, and its terms, e.g. {"hard": 3.9, "order": 0.41}.
    lr: the learning rate, e.g. 1e-3.
    norm: of the gradient before clipping, e.g. 0.8.
    tokens: real ones since the beginning, over all processes, those of abandoned steps too.
    seconds: of training since the beginning, evaluations apart.
    evaluation: scores, where it was time for them.
    event: what was done about a divergence; the next step is then one behind an earlier checkpoint.
    stopped: "done", or "time" when the minutes are over and the run can be gone on with.
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
    """Where a run stands; it goes into every checkpoint.

    key: what the run depends on, a digest.
    cursor: of the next batch, e.g. Cursor(block=3, row=40, places=(96,), cut=(128, 0)).
    step, tokens, seconds: done so far, e.g. 1200, 9_830_400 and 3610.5.
    factor: of the learning rate, after returns, e.g. 0.5.
    course: of the losses of the current stage.
    returns: those made so far.
    scaler: that of float16, where it is used.
    """

    key: str
    cursor: Any
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    factor: float = 1.0
    course: LossHistory = field(default_factory=LossHistory)
    returns: tuple[Rollback, ...] = ()
    scaler: Mapping[str, Any] = field(default_factory=dict)


def pretrain(
    model: nn.Module,
    task: Objective,
    loss: WeightedLoss,
    source: BatchSource,
    evaluate: Evaluate,
    options: PretrainOptions,
    *,
    seed: int,
    folder: Path,
    key: str = "",
    states: StateSource | None = None,
    minutes: float | None = None,
) -> Iterator[PretrainStep]:
    """Train a model in place and yield every step; go on from the newest checkpoint in `folder`.

    Args:
        model: a masked language model; trained in place.
        task: what its logits are of.
        loss: the terms.
        source: of batches.
        evaluate: called every so often with the steps done, by every process; the first one's
            numbers count.
        options: stages, optimiser, checkpoints, recovery.
        seed: of dropout.
        folder: of the checkpoints.
        key: what the run depends on; a checkpoint of another key is refused.
        states: where a teacher's inner states come from, for the rows of one process.
        minutes: stop after so many, with a checkpoint; None = run to the end.

    Raises:
        TrainingError: the loss diverges again and again, or a checkpoint cannot be written or read.
    """
    began = time.monotonic()
    context, trained = prepare_training(model, task, loss, options, seed, states)
    accelerator = context.accelerator
    kept, behind = options.keep, 2 * options.recovery.patience
    disk = Checkpoints(folder, keep=kept, every=options.evaluate_every, behind=behind)
    run = _Run(context, trained, disk, options)

    with (
        disk,
        Prefetcher(source, options, accelerator, states) as ahead,
        context.precision.products(),
    ):
        position = run.resume(key, source)
        saved = time.monotonic()
        while position.step < options.steps:
            started = time.monotonic()
            _set_depth(model, options, position.step)
            step, position, divergence = run.step(ahead, position, started)
            if divergence:
                position, event = run.roll_back(position, divergence)
                yield replace(step, event=event)
                continue

            # Look at the weights as they are now.
            done = position.step == options.steps
            due = done or position.step % options.evaluate_every == 0
            if due:
                scores = _same_on_all(accelerator, dict(evaluate(position.step)))
                step = replace(step, evaluation=scores)

            now = time.monotonic()
            over = minutes is not None and now - began > 60 * minutes
            stale = now - saved > 60 * options.save_minutes
            over, stale = _agreed(accelerator, position.step, over, stale)
            stopped = "time" if over else ""
            if done:
                stopped = "done"
            yield replace(step, stopped=stopped)

            if due or over or stale:
                run.save(position)
                saved = time.monotonic()
            disk.check()
            if stopped:
                return


def _agreed(accelerator: Accelerator, step: int, over: bool, stale: bool) -> tuple[bool, bool]:
    """Return what the first process's clock says; several agree on it now and then.

    Args:
        accelerator: of the run.
        step: how many are done.
        over: whether this process's time is over.
        stale: whether its last checkpoint is old.
    """
    if accelerator.num_processes == 1:
        return over, stale
    if step % _CLOCK_EVERY:
        return False, False
    agreed: tuple[bool, bool] = _same_on_all(accelerator, (over, stale))
    return agreed


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run works with. trained: all that is optimised, see `trainable`."""

    context: TrainContext
    trained: nn.Module
    disk: Checkpoints
    options: PretrainOptions

    def resume(self, key: str, source: BatchSource) -> PretrainPosition:
        """Put back the weights and moments of the newest checkpoint, or save a first one.

        Raises:
            TrainingError: the checkpoint is of another run.
        """
        accelerator = self.context.accelerator
        newest = self.disk.newest() if accelerator.is_main_process else None
        newest = _same_on_all(accelerator, newest)
        if newest is None:
            position = PretrainPosition(key, source.start())
            self.save(position)
            return position

        saved, tensors = self.disk.read(newest)
        if saved["key"] != key:
            raise TrainingError(
                f"{self.disk.path(newest)} belongs to a run with other settings or data: "
                "delete its folder to start from the beginning"
            )
        return self._restore(saved, tensors, newest, source.start())

    def _restore(
        self, saved: Mapping[str, Any], tensors: Mapping[str, Tensor], step: int, cursor: Any
    ) -> PretrainPosition:
        """Put back the weights and moments of a checkpoint; return its position.

        Args:
            saved: its position, as JSON has it.
            tensors: its weights and moments.
            step: at which it was made.
            cursor: any one of the source, which says what kind it is.
        """
        where = self.disk.path(step)
        state.restore_state(tensors, self.trained, self.context.optimizer, where=where)
        position = _position(saved, cursor)
        if self.context.scaler is not None and position.scaler:
            self.context.scaler.load_state_dict(dict(position.scaler))
        return position

    def save(self, position: PretrainPosition) -> None:
        """Begin a checkpoint, by the first process; the others give their part of the weights."""
        tensors = state.state_tensors(self.trained, self.context.optimizer)
        position = replace(position, scaler=scaler_state(self.context))
        if self.context.accelerator.is_main_process:
            self.disk.add(position.step, asdict(position), tensors)

    def step(
        self, ahead: Prefetcher, position: PretrainPosition, started: float
    ) -> tuple[PretrainStep, PretrainPosition, Rollback | None]:
        """Make one step, or none when the loss has left its course.

        Args:
            ahead: of the batches.
            position: before the step.
            started: when it began, by `time.monotonic`.

        Returns:
            The step, the position behind it, and the return to be made if it was not made.
        """
        context, options = self.context, self.options
        number, stage = position.step, options.stage(position.step)

        # Gradients of the global batch, this process's share of it.
        share = ahead.take(number, position.cursor)
        result = train_step(context, share.batches, number=number, tokens=share.tokens)

        # Losses of different stages are not comparable: each has statistics of its own.
        begins = number > 0 and options.stage(number - 1) != stage
        course = LossHistory() if begins else position.course
        fault = _not_finite(result)
        if not fault:
            course = course.after(result.loss, options.recovery)
            fault = "the loss rose" if course.high >= options.recovery.patience else ""

        # No weight has moved yet, so a bad step can still be left out.
        lr = learning_rate(number, options) * position.factor
        divergence = None
        if fault:
            suspects = max(course.high, position.course.high + 1)
            divergence = Rollback(
                step=number + 1,
                began=number + 2 - suspects,
                to=0,
                loss=result.loss,
                lowest=course.lowest,
                lr=lr,
                why=fault,
            )
            context.optimizer.zero_grad()
        else:
            apply_gradients(context, lr)

        position = replace(
            position,
            step=number if fault else number + 1,
            cursor=share.behind,
            tokens=position.tokens + result.tokens,
            seconds=position.seconds + time.monotonic() - started,
            course=course,
        )
        step = PretrainStep(
            step=number + 1,
            steps=options.steps,
            stage=stage,
            loss=result.loss,
            parts=result.parts,
            lr=lr,
            norm=result.norm,
            tokens=position.tokens,
            seconds=position.seconds,
        )
        return step, position, divergence

    def roll_back(
        self, position: PretrainPosition, divergence: Rollback
    ) -> tuple[PretrainPosition, str]:
        """Put back the weights and moments of the last good checkpoint.

        Returns:
            The position there, with the data behind the divergence, and a line for the log.

        Raises:
            TrainingError: there have been as many returns as there may be.
        """
        accelerator, recovery = self.context.accelerator, self.options.recovery
        main = accelerator.is_main_process

        # Good is what was saved well before the first suspect step.
        good = None
        if main:
            self.disk.wait()
            good = self.disk.before(divergence.began - 1 - recovery.patience)
        good = _same_on_all(accelerator, good)
        rollback = replace(divergence, to=good)
        if len(position.returns) >= recovery.returns:
            raise give_up([*position.returns, rollback], self.options)

        saved, tensors = self.disk.read(good)
        restored = self._restore(saved, tensors, good, position.cursor)
        position = replace(
            position,
            step=good,
            factor=position.factor * recovery.factor,
            course=restored.course,
            returns=(*position.returns, rollback),
        )

        # The checkpoint gets the new position, so that a kill does not undo the return.
        meet()  # all have read what is replaced now
        if main:
            self.disk.replace(good, (asdict(position), tensors))
        number = len(position.returns)
        return position, describe_rollback(rollback, number, self.options, recovery.factor)


def _set_depth(model: nn.Module, options: PretrainOptions, step: int) -> None:
    """Let the model run as many layers as the stage wants."""
    if any(stage.layers is not None for stage in options.stages):
        encoder: Any = model.encoder
        encoder.depth = options.stages[options.stage(step)].layers or encoder.config.layers


def _position(saved: Mapping[str, Any], cursor: Any) -> PretrainPosition:
    """Read the position in a checkpoint; any cursor of the source says what kind it is."""
    parts = {
        "cursor": type(cursor)(**saved["cursor"]),
        "course": LossHistory(**saved["course"]),
        "returns": tuple(Rollback(**each) for each in saved["returns"]),
    }
    return PretrainPosition(**{**saved, **parts})


def _not_finite(result: StepResult) -> str:
    """Name which number of a step is not finite; "" when all are."""
    if not all(map(math.isfinite, (result.loss, *result.parts.values()))):
        return "the loss was not finite"
    # Of float16 a gradient may be too large for its scale, which is then lowered.
    fine = math.isfinite(result.norm) or result.overflow
    return "" if fine else "the gradient was not finite"


def _same_on_all(accelerator: Accelerator, value: Any) -> Any:
    """Give the first process's value to all: neither rounding nor a clock must part them."""
    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value
