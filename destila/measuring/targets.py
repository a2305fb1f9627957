"""Whatever can be timed, in one form, and exported folders in it.

A preset with random weights, a model folder, an exported folder, a predictor that a study trained,
a baseline: each becomes a `TimingTarget`, and `protocols.py` times nothing else. Those of torch are
made in `torch_targets.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from destila.errors import ConfigError
from destila.inference.predictor import Predictor, RuntimePredictor
from destila.inference.session import TokenWindow, feeds
from destila.measuring.latency import Call
from destila.models import hf_config
from destila.models.architecture import EncoderConfig
from destila.models.presets import count_parameters
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Task

_T = TypeVar("_T")

_LOADS = 3
"""A folder is opened so often; the median is its load time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingTarget:
    """A model ready to be timed.

    Args:
        name: "albeto-tiny", of a preset or of a folder.
        head: "tag", the kind of its head.
        labels: ("O", "B-PER", "I-PER").
        params: 5_345_283 weights.
        size_bytes: 21_400_000 on disk; of a preset in memory.
        forward: windows -> a call of the model alone on them; None for a baseline, which has no
            model that stands apart from its reading.
        predictor: from texts to labels; None for a preset, which cannot read.
        task: with which it reads texts; None for a preset.
        tokenizer: None for a preset or a baseline.
        config: its shape; None where we do not know it.
        window: 256, the most tokens it is used with; at most `config.max_length`.
        backend: "torch", "onnxruntime", "openvino" or "sklearn".
        dtype: "float32".
        device: "cpu", or the name of a GPU.
        synchronize: waits for a GPU; None on a CPU.
        folder: that `destila predict` reads; None where there is none.
        details: {"weights": "loaded"}, for the record.
    """

    name: str
    head: str
    labels: tuple[str, ...]
    params: int
    size_bytes: int
    forward: Callable[[Sequence[TokenWindow]], Call] | None = None
    predictor: Predictor | None = None
    task: Task | None = None
    tokenizer: Tokenizer | None = None
    config: EncoderConfig | None = None
    window: int = 0
    backend: str = "torch"
    dtype: str = "float32"
    device: str = "cpu"
    synchronize: Call | None = None
    folder: Path | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """The most tokens that the encoder has positions for; 0 where its shape is not known."""
        return self.config.max_length if self.config else 0


def required_task(target: TimingTarget) -> tuple[Task, Tokenizer]:
    """Return task and tokenizer of a model that reads texts; raise ConfigError for a preset."""
    if target.task is None or target.tokenizer is None:
        raise ConfigError(_cannot_read(target))
    return target.task, target.tokenizer


def required_predictor(target: TimingTarget) -> Predictor:
    """Return the predictor of a model that is to read texts; raise ConfigError for a preset."""
    if target.predictor is None:
        raise ConfigError(_cannot_read(target))
    return target.predictor


def _cannot_read(target: TimingTarget) -> str:
    return f"preset '{target.name}' has no tokenizer to read texts with: measure a folder"


def exported_target(path: Path, threads: int) -> TimingTarget:
    """Return an exported folder, run without torch."""
    predictor, load_ms = time_opening(lambda: RuntimePredictor(path, threads=threads))
    choice, parts = predictor.choice, runtime_parts(predictor)
    files = [
        choice.file,
        *([choice.file.with_suffix(".bin")] if choice.file.suffix == ".xml" else []),
    ]
    return TimingTarget(
        name=path.name,
        head=predictor.task.head,
        task=predictor.task,
        labels=predictor.labels,
        params=count_parameters(parts["config"], len(predictor.labels), predictor.task.head),
        size_bytes=sum(file.stat().st_size for file in files),
        predictor=predictor,
        dtype=choice.kind or "unknown",
        folder=path,
        details={"weights": "loaded", "candidate": choice.name, "load_ms": load_ms},
        **parts,
    )


def runtime_parts(predictor: RuntimePredictor) -> dict[str, Any]:
    """Return what an open export says about itself, as fields of a target."""

    def forward(windows: Sequence[TokenWindow]) -> Call:
        return partial(predictor.answer, [feeds(*window) for window in windows])

    return {
        "forward": forward,
        "tokenizer": predictor.tokenizer,
        "config": hf_config.read_hf_config(predictor.info.config, where=str(predictor.info.path)),
        "window": predictor.max_length,
        "backend": predictor.backend,
    }


def time_opening(load: Callable[[], _T]) -> tuple[_T, float]:
    """Return what a function opens, and the median milliseconds that it takes."""
    times = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        opened = load()
        times.append((time.perf_counter() - start) * 1000)
    return opened, median(times)
