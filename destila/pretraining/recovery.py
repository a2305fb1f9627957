"""Whether a loss has left its course: running statistics that a checkpoint can hold, and what a return leaves behind.

A loss is suspect when it stands above the lowest running mean of its stage by more than a number of nats and of running
standard deviations; a row of suspect steps is a divergence. The lowest mean, not the latest, because a loss that climbs
slowly would take its own mean along. Suspect steps do not enter the statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from destila.errors import TrainingError
from destila.pretraining.options import PretrainOptions, Recovery

_MEMORY = 50
"""Steps over which the running mean and variance reach back, exponentially."""


@dataclass(frozen=True, slots=True)
class LossHistory:
    """Statistics of the losses of a stage. high: suspect steps in a row, up to now."""

    mean: float = 0.0
    variance: float = 0.0
    lowest: float | None = None  # None: too few steps to judge by
    steps: int = 0
    high: int = 0

    def after(self, loss: float, options: Recovery) -> LossHistory:
        """The course after one more step with a finite loss."""
        if self.lowest is not None and loss > self.lowest + self.margin(options):
            return LossHistory(self.mean, self.variance, self.lowest, self.steps, self.high + 1)
        share = max(1 / (self.steps + 1), 1 / _MEMORY)
        away = loss - self.mean
        mean = self.mean + share * away
        variance = (1 - share) * (self.variance + share * away * away)
        lowest = self.lowest
        if self.steps + 1 >= options.patience:
            lowest = mean if lowest is None else min(lowest, mean)
        return LossHistory(mean, variance, lowest, self.steps + 1)

    def margin(self, options: Recovery) -> float:
        """Nats above the lowest mean from which a loss is suspect."""
        return max(options.spike, options.deviations * math.sqrt(self.variance))


@dataclass(frozen=True, slots=True)
class Rollback:
    """One return. step: the divergence was noticed in it; began: its first suspect step; to: steps done after it."""

    step: int
    began: int
    to: int
    loss: float
    lowest: float | None
    lr: float
    why: str


def describe_rollback(back: Rollback, number: int, options: PretrainOptions, factor: float) -> str:
    """A line for the log about the return just made, the `number`-th."""
    limit = "" if back.lowest is None else f", lowest running mean {back.lowest:.3f}"
    return (
        f"{back.why} from step {back.began} to {back.step} (loss {back.loss:.3f}{limit}, rate {back.lr:.3g}): back to the "
        f"weights of step {back.to}, on with the data behind step {back.step}, rate x {factor:g} from now on "
        f"(return {number} of {options.recovery.returns})"
    )


def give_up(backs: Sequence[Rollback], options: PretrainOptions) -> TrainingError:
    """The error that ends a run which has returned as often as it may; the last Return was not made."""
    tried = "; ".join(f"step {b.step}: {b.why}, loss {b.loss:.3f}, rate {b.lr:.3g}" for b in backs)
    return TrainingError(
        f"training diverged {len(backs)} times, {len(backs) - 1} of them after a return to an earlier checkpoint ({tried}). "
        f"Lower lr (now {options.lr:g}) or clip ({options.clip:g}), lengthen warmup ({options.warmup:g}), or enlarge rows; "
        f"the weights before the last divergence are those of step {backs[-1].to}"
    )
