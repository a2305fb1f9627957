"""Everything that shapes a training run, as a frozen table of a recipe. No torch here."""

from __future__ import annotations

from typing import Literal

from destila.config import Options, opt

PrecisionName = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
"""Names of `training.precision`."""

PRECISION_HELP = (
    "auto = bf16 autocast where the processor multiplies it faster (fp16 on a GPU without it); "
    "tf32 = fp32 with a GPU's products in TF32"
)


class TrainOptions(Options):
    """Optimiser, schedule, batches and selection of the best checkpoint."""

    epochs: int = opt(5, "passes over the training data; also the horizon of the schedule", ge=1)
    steps: int | None = opt(
        None,
        "optimiser steps in all, however many texts there are; `epochs` is then the number of "
        "parts with `evaluations` each. none = epochs decide",
        ge=1,
        later=True,
    )
    batch_size: int = opt(32, "windows per optimiser step, over all processes", ge=1)
    accumulation: int = opt(
        1, "micro-batches a step is computed in; changes memory, not the result", ge=1
    )
    lr: float = opt(2e-4, "peak learning rate, per step", gt=0)
    schedule: Literal["linear", "cosine", "constant"] = opt(
        "linear", "decay of the learning rate after warm-up"
    )
    warmup: float = opt(
        0.1, "share of all steps in which the rate rises linearly from 0", ge=0, lt=1
    )
    weight_decay: float = opt(0.01, "AdamW's decoupled decay", ge=0)
    decay_all: bool = opt(
        False, "decay biases and LayerNorms too (as Speedy Gonzales did)", reproduction=True
    )
    clip: float = opt(1.0, "largest global gradient norm; 0 does not clip", ge=0)
    beta2: float = opt(0.999, "AdamW's second moment decay", gt=0, lt=1, reproduction=True)
    eps: float = opt(1e-8, "AdamW's epsilon", gt=0)
    precision: PrecisionName = opt("auto", PRECISION_HELP)
    shuffle: bool = opt(
        True,
        "new order every epoch; false keeps the data's order (Speedy Gonzales)",
        reproduction=True,
    )
    group: int = opt(
        50, "batches among which lengths are grouped to save padding; 0 does not group", ge=0
    )
    evaluations: float = opt(1.0, "dev evaluations per epoch", gt=0)
    select: Literal["score", "loss", "last"] = opt(
        "score",
        "checkpoint that is kept: best main dev score, least gold-label dev loss, "
        "or the last evaluation's",
    )
    patience: int | None = opt(
        None, "stop after more than this many evaluations without improvement; none = never"
    )
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = opt(
        "none",
        "of every term `hard` that says nothing itself: none, balanced (rare classes count more), "
        "or one weight per label in label order",
        later=True,
    )
    save_minutes: float = opt(
        2.0, "minutes between saved states for resuming; evaluations save too", ge=0
    )
