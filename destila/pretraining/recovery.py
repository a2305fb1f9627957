"""Whether a loss has left its course: running statistics that a checkpoint can hold, and returns.

A loss is suspect when it stands above the lowest running mean of its stage by more than a number of
nats and of running standard deviations; a row of suspect steps is a divergence. The lowest mean,
not the latest, because a loss that climbs slowly would take its own mean along. Suspect steps do
not enter the statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from destila.errors import TrainingError
from destila.pretraining.pretrain_options import PretrainOptions, Recovery

_MEMORY = 50
"""Steps over which the running mean and variance reach back, exponentially."""


@dataclass(frozen=True, slots=True)
class LossHistory:
    """Statistics of the losses of a stage.

    lowest: the lowest running mean; None while there are too few steps to judge by.
    high: suspect steps in a row, up to now.
    """

    mean: float = 0.0
    variance: float = 0.0
    lowest: float | None = None
    steps: int = 0
    high: int = 0

    def after(self, loss: float, options: Recovery) -> LossHistory:
        """Return the history with one more step, whose loss is finite."""
        if self.lowest is not None and loss > self.lowest + self.margin(options):
            return replace(self, high=self.high + 1)

        # An exponential mean and variance; a plain one over the first steps.
        share = max(1 / (self.steps + 1), 1 / _MEMORY)
        away = loss - self.mean
        mean = self.mean + share * away
        variance = (1 - share) * (self.variance + share * away * away)

        lowest = self.lowest
        if self.steps + 1 >= options.patience:
            lowest = mean if lowest is None else min(lowest, mean)
        return LossHistory(mean, variance, lowest, self.steps + 1)

    def margin(self, options: Recovery) -> float:
        """Compute the nats above the lowest mean from which a loss is suspect."""
        return max(options.spike, options.deviations * math.sqrt(self.variance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """One return to an earlier checkpoint.

    step: the divergence was noticed in it, e.g. 1240.
    began: its first suspect step, e.g. 1221.
    to: steps done at the checkpoint, e.g. 1000.
    loss: of the step, e.g. 7.9.
    lowest: running mean of the stage before, e.g. 4.2; None when there were too few steps.
    lr: the learning rate, e.g. 1e-3.
    why: what was wrong, in words, e.g. "the loss rose".
    """

    step: int
    began: int
    to: int
    loss: float
    lowest: float | None
    lr: float
    why: str


def describe_rollback(
    rollback: Rollback, number: int, options: PretrainOptions, factor: float
) -> str:
    """Write a line for the log about the return just made, the `number`-th."""
    limit = ""
    if rollback.lowest is not None:
        limit = f", lowest running mean {rollback.lowest:.3f}"
    return (
        f"{rollback.why} from step {rollback.began} to {rollback.step} "
        f"(loss {rollback.loss:.3f}{limit}, rate {rollback.lr:.3g}): back to the weights of step "
        f"{rollback.to}, on with the data behind step {rollback.step}, rate x {factor:g} from now "
        f"on (return {number} of {options.recovery.returns})"
    )


def give_up(rollbacks: Sequence[Rollback], options: PretrainOptions) -> TrainingError:
    """Return the error of a run that has returned as often as it may; the last was not made."""
    tried = "; ".join(
        f"step {each.step}: {each.why}, loss {each.loss:.3f}, rate {each.lr:.3g}"
        for each in rollbacks
    )
    return TrainingError(
        f"training diverged {len(rollbacks)} times, {len(rollbacks) - 1} of them after a return to "
        f"an earlier checkpoint ({tried}). Lower lr (now {options.lr:g}) or clip "
        f"({options.clip:g}), lengthen warmup ({options.warmup:g}), or enlarge rows; the weights "
        f"before the last divergence are those of step {rollbacks[-1].to}"
    )
