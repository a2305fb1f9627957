"""What a pre-training needs of a cluster: memory of a GPU, steps, hours and disk, by formula.

memory   of the tensors of one step, counted on their outlines; with data parallelism 4 bytes a
weight more, for the gradients on their way; with fsdp weights, gradients and moments
are divided by the GPUs
hours    2 operations a multiply-accumulate, three forward passes' worth a step (four where
layers are computed again), over a share of the peak of all GPUs; or the tokens over
what was measured
disk     checkpoints of 12 bytes a weight, the model, and 2 or 4 bytes a token of the corpus
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from destila import hub
from destila.corpus.shards import open_shards
from destila.corpus.train_tokenizer import TokenizerOptions
from destila.errors import ConfigError
from destila.measuring.gpu_sheets import SHARE, Gpu, least_seconds
from destila.model_folder import read_folder
from destila.models.architecture import EncoderConfig, from_shape
from destila.models.hf_config import read_hf_config
from destila.models.macs import count_macs
from destila.models.presets import PRESETS, preset_of
from destila.pretraining.planning.outlined_step import StepShape, measure_step, pretraining_memory
from destila.pretraining.pretrain_options import Stage
from destila.pretraining.pretrain_recipe import PretrainRecipe
from destila.terminal import in_units_of_bytes
from destila.tokenizer.tokenizer import load_tokenizer
from destila.training.devices import device_label
from destila.training.precision import precision_for

TOKEN_CHARACTERS = 4.0
"""Characters of a token: 26.8 million of Spanish books, laws and speech became 6.7 million tokens,
of a vocabulary of 39,348 pieces."""

_MOST_ACCUMULATION = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What computes. nodes: machines of `each` GPUs. share: of their peak that is reached.

    tokens_per_second: of one GPU, measured; None: by its peak and the share.
    """

    nodes: int
    each: int
    gpu: Gpu
    share: float = SHARE
    tokens_per_second: float | None = None

    @property
    def gpus(self) -> int:
        """All of them."""
        return self.nodes * self.each


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainPlan:
    """What one run needs.

    parameters: of the model with its heads.
    rows: of a micro-batch, on one GPU.
    accumulation: micro-batches of a step; more than the recipe's where those do not fit.
    memory_bytes: of a GPU, in its largest stage. fits: whether the GPU has as much.
    steps, tokens: of all stages; tokens with padding.
    hours: of the cluster.
    checkpoint_bytes: of one. disk_bytes: of all that are kept, of the model and of the corpus.
    passes: how often the corpus is read; None: nobody knows how large it is.
    """

    parameters: int
    rows: int
    accumulation: int
    memory_bytes: int
    fits: bool
    steps: int
    tokens: int
    hours: float
    checkpoint_bytes: int
    disk_bytes: int
    passes: float | None


def plan_pretraining(
    recipe: PretrainRecipe, cluster: Cluster, *, text_gb: float | None = None
) -> PretrainPlan:
    """Return what a run needs.

    Args:
        recipe: of one run.
        cluster: that computes.
        text_gb: size of the text, where its shards are not here; None: not known.

    Raises:
        ConfigError: the shape of a model is not known here.
    """
    step = model_shapes(recipe)
    precision = "bf16" if recipe.train.precision == "auto" else recipe.train.precision
    step = replace(step, precision=precision)

    # Micro-batches that do not fit are halved, as `train.accumulation` would.
    accumulation = recipe.train.accumulation
    while True:
        memory, weights, rows = _memory(recipe, step, cluster, accumulation)
        fits = memory < 1e9 * cluster.gpu.gigabytes
        if fits or rows == 1 or accumulation > _MOST_ACCUMULATION:
            break
        accumulation *= 2

    # What the optimiser keeps is the weights and two moments.
    checkpoint = 3 * weights
    corpus = _corpus_tokens(recipe, text_gb)
    kept = (recipe.train.keep + 1) * checkpoint + weights
    size = 2 if step.shape.vocab_size <= 1 << 16 else 4
    tokens = sum(stage.steps * stage.rows * stage.length for stage in recipe.train.stages)
    return PretrainPlan(
        parameters=weights // 4,
        rows=rows,
        accumulation=accumulation,
        memory_bytes=memory,
        fits=fits,
        steps=recipe.train.steps,
        tokens=tokens,
        hours=_seconds(recipe, step, cluster, tokens) / 3600,
        checkpoint_bytes=checkpoint,
        disk_bytes=kept + size * (corpus or 0),
        passes=tokens / corpus if corpus else None,
    )


def _memory(
    recipe: PretrainRecipe, step: StepShape, cluster: Cluster, accumulation: int
) -> tuple[int, int, int]:
    """Return the bytes of a GPU, those of the weights, and the rows of the largest micro-batch."""
    gpus, most, weights, rows = cluster.gpus, 0, 0, 1
    for stage in {(s.rows, s.length, s.layers, s.rate): s for s in recipe.train.stages}.values():
        own = micro_rows(stage, gpus, accumulation)
        memory = pretraining_memory(recipe, stage, replace(step, rows=own))
        weights = memory.weights
        if recipe.train.parallel == "fsdp":
            # Weights, gradients and two moments are divided.
            peak = memory.peak - int(4 * weights * (1 - 1 / gpus))
        else:
            peak = memory.peak + (weights if gpus > 1 else 0)
        if peak > most:
            most, rows = peak, own
    return most, weights, rows


def micro_rows(stage: Stage, gpus: int, accumulation: int) -> int:
    """Return the rows of a micro-batch on one of some GPUs."""
    return math.ceil(math.ceil(stage.rows / gpus) / accumulation)


def _seconds(recipe: PretrainRecipe, step: StepShape, cluster: Cluster, tokens: int) -> float:
    """Return the seconds of all stages; where rows are fewer than GPUs, the others idle."""
    if cluster.tokens_per_second is not None:
        return tokens / (cluster.tokens_per_second * cluster.gpus)
    passes = 4 if recipe.train.checkpointing else 3
    seconds = 0.0
    for stage in recipe.train.stages:
        work = passes * _row_macs(recipe, stage, step.shape)
        if step.teacher is not None:
            work += _row_macs(recipe, stage, step.teacher)
        rows = math.ceil(stage.rows / cluster.gpus)  # of the GPU that has most
        peak = cluster.share * cluster.gpu.flops(step.precision)
        least = least_seconds(stage.layers or step.shape.layers) * recipe.train.accumulation
        seconds += stage.steps * max(rows * 2 * work / peak, least)
    return seconds


def _row_macs(recipe: PretrainRecipe, stage: Stage, shape: EncoderConfig) -> int:
    """Return the multiply-accumulates of a forward pass over one row, head and vocabulary too."""
    shape = shape.with_values(layers=stage.layers or shape.layers)
    encoder = count_macs(shape, stage.length, labels=0, task="tag", attention=True)
    every = bool(recipe.teacher.model) and recipe.teacher.tokens == "all"
    rate = 1.0 if every else stage.rate or recipe.feed.masking.rate
    asked = int(rate * stage.length)
    return encoder + asked * shape.embedding * (shape.hidden + shape.vocab_size)


def measure_here(recipe: PretrainRecipe, most: int, gpus: int) -> tuple[float, str]:
    """Compute some steps here; return tokens per second, and a line of its memory and the plan's.

    Args:
        recipe: of one run.
        most: rows of a step at most.
        gpus: that will share a step's rows.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stage = max(recipe.train.stages, key=lambda stage: stage.steps)
    own = min(most, micro_rows(stage, gpus, recipe.train.accumulation))

    # A CPU has kernels of its own in 16 bits, which a plan does not know.
    chosen = recipe.train.precision if device.type == "cuda" else "fp32"
    step = replace(model_shapes(recipe), rows=own, precision=precision_for(chosen, device).name)
    planned = pretraining_memory(recipe, stage, step).peak
    taken = measure_step(recipe, stage, step, device)
    speed = own * stage.length / taken.seconds
    return speed, (
        f"{own} rows of {stage.length} on {device_label(device)}: {speed:,.0f} tokens a second, "
        f"{in_units_of_bytes(taken.peak)} of memory, {in_units_of_bytes(planned)} planned"
    )


def model_shapes(recipe: PretrainRecipe) -> StepShape:
    """Return the shapes of a recipe's models, by their names or folders; no weights are read.

    Raises:
        ConfigError: a hub name whose shape is not known here.
    """
    table = recipe.model
    teacher = _shape_named(recipe.teacher.model) if recipe.teacher.model else None
    if teacher is not None and recipe.teacher.layers is not None:
        teacher = teacher.with_values(layers=_count(recipe.teacher.layers))
    if table.shape is not None:
        shape = from_shape(table.shape, vocab_size=_vocabulary(recipe.tokenizer), pad_id=0)
    else:
        shape = _shape_named(table.source)
        if table.source in PRESETS:
            shape = shape.with_values(vocab_size=_vocabulary(recipe.tokenizer))
        if table.embedding is not None:
            shape = shape.with_values(embedding=table.embedding)
    if table.layers is not None:
        shape = shape.with_values(layers=_count(table.layers))
    return StepShape(shape=shape, teacher=teacher, rows=1, precision="fp32")


def _count(layers: int | tuple[int, ...]) -> int:
    return layers if isinstance(layers, int) else len(layers)


def _shape_named(name: str) -> EncoderConfig:
    """Return the shape of a preset, of published weights or of a folder.

    Raises:
        ConfigError: it is not known here.
    """
    preset = preset_of(name)
    if preset is not None:
        return PRESETS[preset]
    info = read_folder(hub.resolve(name))
    return read_hf_config(info.config, where=str(info.path))


def _vocabulary(tokenizer: str | TokenizerOptions) -> int:
    """Return how many pieces a tokenizer has, or is asked to have."""
    if isinstance(tokenizer, TokenizerOptions):
        return tokenizer.vocab_size
    preset = preset_of(tokenizer)
    return PRESETS[preset].vocab_size if preset else load_tokenizer(tokenizer).vocab_size


def _corpus_tokens(recipe: PretrainRecipe, text_gb: float | None) -> int | None:
    """Return the tokens of a recipe's corpora: counted, or by the size of their text."""
    if text_gb is not None:
        return int(1e9 * text_gb / TOKEN_CHARACTERS)
    folders = [corpus.folder for corpus in recipe.corpora]
    if None in folders:
        return None
    return sum(
        int(shard["tokens"])
        for folder in folders
        if folder is not None
        for shard in open_shards(folder, verify=False).manifest["shards"]
    )


def parse_gpus(value: str) -> tuple[int, int]:
    """Return machines and GPUs of each: "8x8", or "4" of one machine.

    Raises:
        ConfigError: it is neither.
    """
    parts = value.lower().split("x")
    if len(parts) > 2 or not all(p.isascii() and p.isdigit() and 0 < int(p) < 10**6 for p in parts):
        raise ConfigError(f"--gpus {value}: give machines x GPUs of each, as 8x8, or GPUs alone")
    numbers: Sequence[int] = [int(part) for part in parts]
    return (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
