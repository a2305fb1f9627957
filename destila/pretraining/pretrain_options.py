"""Everything that shapes pre-training, as a frozen table of a recipe. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from destila.config import Options, opt
from destila.training.options import PRECISION_HELP, PrecisionName


class Stage(Options):
    """A part of pre-training with rows of one shape.

    Short sequences may come first, more layers or larger batches later.
    """

    steps: int = opt(1000, "optimiser steps of this stage", ge=1)
    length: int = opt(128, "tokens of a row", ge=8)
    rows: int = opt(64, "rows per optimiser step, over all processes", ge=1)
    pair: int | None = opt(
        None, "longest pair of segments in tokens; none = the length of a row", ge=8
    )
    rate: float | None = opt(
        None, "share of tokens to mask; none = as the masking says", gt=0, lt=1
    )
    layers: int | None = opt(None, "layers that are run; none = all of the model", ge=1)


class Recovery(Options):
    """When the loss counts as diverged, and what is done about it."""

    spike: float = opt(
        0.7, "nats above the lowest running mean of the stage from which a loss is suspect", gt=0
    )
    deviations: float = opt(
        3.0, "and running standard deviations above it; both must be passed", ge=0
    )
    patience: int = opt(
        20, "suspect steps in a row that are a divergence; nan or infinity is one at once", ge=1
    )
    factor: float = opt(
        0.5, "what the learning rate is multiplied by, for good, at each return", gt=0, le=1
    )
    returns: int = opt(
        3, "returns to an earlier checkpoint before the run stops with a diagnosis", ge=0
    )


class PretrainOptions(Options):
    """Stages, optimiser, schedule, checkpoints and recovery."""

    stages: tuple[Stage, ...] = opt((Stage(),), "one after the other", min_length=1)
    optimizer: Literal["lamb", "adamw"] = opt("lamb", "lamb as in the ALBERT code, or adamw")
    lr: float = opt(1e-3, "peak learning rate, per step", gt=0)
    schedule: Literal["linear", "from the peak", "constant"] = opt(
        "linear",
        "decay of the rate over the horizon: linear from step 0 (the ALBERT code), "
        "or from where warm-up ends",
    )
    horizon: int | None = opt(
        None,
        "steps at which the rate reaches 0, whatever steps are run; none = all stages together",
        ge=1,
    )
    warmup: float = opt(
        0.1, "share of the horizon in which the rate rises linearly from 0", ge=0, lt=1
    )
    betas: tuple[float, float] = opt(
        (0.9, 0.999), "decay of the optimiser's first and second moment"
    )
    eps: float = opt(1e-6, "the optimiser's epsilon", gt=0)
    weight_decay: float = opt(0.01, "decay of weights; biases and LayerNorms have none", ge=0)
    clip: float = opt(1.0, "largest global gradient norm", gt=0)
    accumulation: int = opt(
        1, "micro-batches a step is computed in; changes memory, not the result", ge=1
    )
    precision: PrecisionName = opt("auto", PRECISION_HELP)
    checkpointing: bool = opt(
        False, "compute the inside of each layer again in the backward pass, to save memory"
    )
    compile: bool = opt(
        False, "compile the layers with torch.compile; needs a C++ compiler on the CPU"
    )
    parallel: Literal["ddp", "fsdp"] = opt(
        "ddp", "with torchrun: weights on every process, or shared out among them"
    )
    evaluate_every: int = opt(
        500, "steps between evaluations; a checkpoint is written at each", ge=1
    )
    keep: int = opt(
        3, "newest checkpoints that are kept; more where recovery needs older ones", ge=1
    )
    save_minutes: float = opt(5.0, "minutes between checkpoints; evaluations write them too", ge=0)
    recovery: Recovery = opt(Recovery(), "what is done when the loss diverges")

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> int:
        """Find the stage, by its number from 0, of step `step`, counted from 0.

        From its end on, it is the last one.
        """
        for number, stage in enumerate(self.stages):
            step -= stage.steps
            if step < 0:
                return number
        return len(self.stages) - 1

    @model_validator(mode="after")
    def _reaches(self) -> PretrainOptions:
        if self.horizon is not None and self.horizon < self.steps and self.schedule != "constant":
            raise ValueError(
                f"horizon = {self.horizon} is before the end of the stages, {self.steps} steps: "
                "raise it"
            )
        return self
