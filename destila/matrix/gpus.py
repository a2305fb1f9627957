"""What a cell needs of a GPU: memory from the tensors of one step, hours by arithmetic.

Memory is that of the longest batch, counted on outlines of its tensors. Hours are
multiply-accumulates over a share of the GPU's peak: a guess to plan with, no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from destila.matrix.matrix import Cell
from destila.matrix.stand_ins import shape_of
from destila.measuring.gpu_sheets import SHARE, Gpu, least_seconds
from destila.measuring.step_memory import OutlinedStep, StepMemory, outline_step
from destila.models import heads
from destila.models.architecture import EncoderConfig
from destila.models.macs import count_macs
from destila.training.optim import build_optimizer
from destila.training.options import TrainOptions
from destila.training.precision import autocasting

_LONGEST = 4
"""The longest batch is taken to have this many times the tokens of an average window."""

_OUTLINED = 64
"""Lengths are rounded up to a multiple of this, so that few steps are outlined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """What a cell costs.

    trainings: 36 where it searches a grid of 36.
    steps: of all of them, at most: patience may end one before.
    parameters: of the model with its head.
    memory_bytes: of a GPU, at the longest batch.
    hours: of the GPU, for all trainings.
    """

    trainings: int
    steps: int
    parameters: int
    memory_bytes: int
    hours: float


def plan_cell(
    cell: Cell, trials: list[TrainOptions], head: str, labels: tuple[str, ...], gpu: Gpu
) -> CellPlan:
    """Return what a cell costs on a GPU.

    Args:
        cell: of a matrix.
        trials: the options of each of its trainings.
        head: the kind of head of its task.
        labels: of its data set.
        gpu: that computes.
    """
    shape, size = shape_of(cell.recipe.students[0]), cell.column.size
    length = min(size.tokens, cell.recipe.max_length)
    longest = min(_LONGEST * size.tokens, cell.recipe.max_length)

    # Every window is read forward and backward, dev forward alone; a teacher once, or every time.
    windows = size.train * size.windows
    reads = count_macs(shape, length, labels=len(labels), task=head, attention=True)
    teachers = [shape_of(spec) for spec in cell.recipe.teachers]
    teacher = max((count_macs(each, length, attention=True) for each in teachers), default=0)
    live = cell.recipe.distil.states == "live"

    steps, seconds, memory = 0, 0.0, 0
    for options in trials:
        own = options.steps or options.epochs * -(-int(windows) // options.batch_size)
        peak = SHARE * gpu.flops(options.precision)
        passes: float = 3 * own * options.batch_size
        passes += options.epochs * options.evaluations * size.dev * size.windows
        work = passes * reads + (own * options.batch_size * teacher if live else 0)
        waits = own * least_seconds(shape.layers) * options.accumulation
        seconds += max(2 * work / peak, waits)
        steps += own
        memory = max(memory, finetuning_memory(shape, options, longest))
    if teachers and not live:
        seconds += 2 * windows * teacher / (SHARE * gpu.flops("fp32"))  # its answers are kept
    if teachers:
        memory += max(4 * _weights(each, head, labels) for each in teachers)
    return CellPlan(
        trainings=len(trials),
        steps=steps,
        parameters=_weights(shape, head, labels),
        memory_bytes=memory,
        hours=seconds / 3600,
    )


def finetuning_memory(shape: EncoderConfig, options: TrainOptions, length: int) -> int:
    """Return the bytes that a step takes at most; a head of few labels is little beside the rest.

    Args:
        shape: of the encoder.
        options: batch, micro-batches, precision.
        length: tokens of a window.
    """
    rows = -(-options.batch_size // options.accumulation)
    half = options.precision not in ("fp32", "tf32")
    length = min(-(-length // _OUTLINED) * _OUTLINED, shape.max_length)

    # What is computed grows with the rows by the same bytes each; what is updated does not.
    one, two = (_outlined(shape, length, few, half=half) for few in (1, 2))
    return max(one.updating, one.computing + (rows - 1) * (two.computing - one.computing))


@cache
def _outlined(shape: EncoderConfig, length: int, rows: int, *, half: bool) -> StepMemory:
    """Return the memory of a step of so many windows."""

    def build() -> OutlinedStep:
        model = heads.Model(shape, "tag", ("a", "b")).train()
        ids = torch.zeros(rows, length, dtype=torch.int64)

        def forward() -> Tensor:
            with autocasting(ids.device, torch.bfloat16 if half else None):
                output = model.answer(ids, None, None)
            return output.logits.sum()

        return OutlinedStep(model=model, forward=forward)

    return outline_step(build, lambda model: build_optimizer(model, TrainOptions()))


@cache
def _weights(shape: EncoderConfig, head: str, labels: tuple[str, ...]) -> int:
    """Count the weights of a model."""
    return sum(value.numel() for value in heads.outline_model(shape, head, labels).parameters())
