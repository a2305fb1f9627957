"""What a cell needs of a GPU: memory from the tensors of one step, hours by arithmetic.

Memory is that of the longest batch: the tensors that the backward pass needs are counted by running
the forward pass on outlines of tensors (torch's `meta` device), which takes no memory here. Hours
are multiply-accumulates over a share of the GPU's peak: a guess to plan with, no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from destila.errors import ConfigError
from destila.matrix.matrix import Cell
from destila.matrix.stand_ins import shape_of
from destila.models import heads
from destila.models.architecture import EncoderConfig
from destila.models.macs import count_macs
from destila.plugins import nearest
from destila.training.options import TrainOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU as its data sheet describes it.

    gigabytes: of memory. bf16, fp32: peak in TFLOPS, dense, of 16-bit products and of fp32 ones
    without TF32.
    """

    gigabytes: int
    bf16: float
    fp32: float


GPUS = {
    "h200": Gpu(gigabytes=141, bf16=989, fp32=67),
    "h100": Gpu(gigabytes=80, bf16=989, fp32=67),
    "a100": Gpu(gigabytes=80, bf16=312, fp32=19.5),
    "l40s": Gpu(gigabytes=48, bf16=362, fp32=91.6),
    "rtx-4090": Gpu(gigabytes=24, bf16=165, fp32=82.6),
    "rtx-3090": Gpu(gigabytes=24, bf16=71, fp32=35.6),
    "l4": Gpu(gigabytes=24, bf16=121, fp32=30.3),
}
"""Data sheets of the makers; the published runs had RTX 3090 and A100."""

SHARE = 0.35
"""Share of the peak that a training is taken to reach."""

_LAYER_SECONDS, _STEP_SECONDS = 1e-3, 5e-3
"""Least seconds of a step, for each layer and once: small models wait for their kernels' starts."""

_LONGEST = 4
"""The longest batch is taken to have this many times the tokens of an average window."""

_HALF = 0.56
"""Saved bytes of a block under bf16 autocast by those of fp32: 14 of its 16 tensors of width H are
halved, the inputs of the two LayerNorms stay."""


def gpu_named(name: str) -> Gpu:
    """Return a GPU by its name; raise ConfigError for an unknown one."""
    if name not in GPUS:
        raise ConfigError(f"--gpu {name} is not known.{nearest(name, sorted(GPUS))}")
    return GPUS[name]


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
        peaks = {"fp32": gpu.fp32, "tf32": gpu.bf16 / 2}
        peak = 1e12 * SHARE * peaks.get(options.precision, gpu.bf16)
        passes: float = 3 * own * options.batch_size
        passes += options.epochs * options.evaluations * size.dev * size.windows
        work = passes * reads + (own * options.batch_size * teacher if live else 0)
        waits = own * (_LAYER_SECONDS * shape.layers + _STEP_SECONDS) * options.accumulation
        seconds += max(2 * work / peak, waits)
        steps += own
        memory = max(memory, _memory(shape, head, labels, options, longest))
    if teachers and not live:
        seconds += 2 * windows * teacher / (1e12 * SHARE * gpu.fp32)  # its answers are kept
    if teachers:
        memory += max(4 * _weights(each, head, labels) for each in teachers)
    return CellPlan(
        trainings=len(trials),
        steps=steps,
        parameters=_weights(shape, head, labels),
        memory_bytes=memory,
        hours=seconds / 3600,
    )


def _memory(
    shape: EncoderConfig, head: str, labels: tuple[str, ...], options: TrainOptions, length: int
) -> int:
    """Return the bytes of weights, gradients, AdamW's moments and what a step keeps."""
    rows = -(-options.batch_size // options.accumulation)
    weights = _weights(shape, head, labels)
    kept = rows * _saved_bytes(shape, head, labels, length)
    if options.precision in ("fp32", "tf32"):
        return 16 * weights + kept
    return 16 * weights + 2 * weights + int(_HALF * kept)  # autocast keeps weights in 16 bits too


@cache
def _weights(shape: EncoderConfig, head: str, labels: tuple[str, ...]) -> int:
    """Count the weights of a model."""
    return sum(value.numel() for value in heads.outline_model(shape, head, labels).parameters())


@cache
def _saved_bytes(shape: EncoderConfig, head: str, labels: tuple[str, ...], length: int) -> int:
    """Return the bytes that the backward pass of one window needs, in fp32."""
    model = heads.outline_model(shape, head, labels).train()
    own = {value.untyped_storage()._cdata for value in model.parameters()}
    seen: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        """Note a tensor that is saved; views of one storage count once."""
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = tensor
        return tensor

    # One row, all of whose tokens are real: nothing looks into a value.
    ids = torch.zeros(1, length, dtype=torch.int64, device="meta")
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.answer(ids, None, None)
        total = sum(each.untyped_storage().nbytes() for each in seen.values())
    del output
    return total
