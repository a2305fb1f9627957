"""Whatever can be timed, opened the same way: a preset with random weights, a model folder, an exported folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from destila import hub
from destila.errors import ConfigError
from destila.inference.exported import is_exported
from destila.inference.predictor import RuntimePredictor
from destila.inference.session import feeds, open_session
from destila.measuring.latency import Call
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models import heads, hf, hf_config
from destila.models.architecture import EncoderConfig
from destila.models.heads import Model
from destila.models.presets import PRESETS, count_parameters
from destila.tasks import task_of, task_of_folder
from destila.tokenizer.tokenizer import Tokenizer
from destila.training.predict import TorchPredictor
from destila.types import Predictor, Task

Rows = Sequence[np.ndarray]
"""Token ids of some windows, [L] each."""

_LOADS = 3
"""A folder is opened so often; the median is its load time."""


@dataclass(frozen=True, slots=True)
class TimingTarget:
    """A model ready to be timed.

    reader, tokenizer, predictor: None for a preset. window: tokens it is used with at most; at most config.max_length.
    forward: windows -> a call of the model alone on them. folder: of a model that `destila predict` reads, else None.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    config: EncoderConfig
    params: int
    size_bytes: int
    forward: Callable[[Rows], Call]
    backend: str = "torch"
    dtype: str = "float32"
    device: str = "cpu"
    synchronize: Call | None = None
    reader: Task | None = None
    tokenizer: Tokenizer | None = None
    predictor: Predictor | None = None
    window: int = 0
    folder: Path | None = None
    details: dict[str, Any] = field(default_factory=dict)


def open_model(
    name: str, *, task: str, labels: int, threads: int, device: str = "cpu"
) -> TimingTarget:
    """A preset by name (random weights), else a model folder or hub name, in evaluation mode.

    task, labels: of a model that has no head of its own. threads: of an exported model, which is told when it opens a
    file; torch is told by its caller. device: "cpu" or "cuda", for torch. Raises ConfigError when there is no such
    device, ModelError.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device = '{device}': torch finds no GPU here; leave --device out")
    names = tuple(str(i) for i in range(labels))
    if name in PRESETS:
        return preset(name, PRESETS[name], task=task, labels=names, device=device)
    path = hub.resolve(name)
    if is_exported(path):
        return _exported(path, threads)
    info = read_folder(path)
    times = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        loaded = hf.load(
            info.path, task=info.task or task, labels=info.labels if info.task else names
        )
        times.append((time.perf_counter() - start) * 1000)
    model = loaded.model.eval().to(device)
    longest = int(info.extra.get("max_length", loaded.max_length))
    reader = task_of_folder(info) if info.task else task_of(model.task)
    found = {} if "max_length" not in info.extra else {"max_length": longest}
    return TimingTarget(
        name=Path(name).name,
        details={
            "weights": "loaded",
            "new_head": loaded.report.new_head,
            "load_ms": median(times),
            **found,
        },
        size_bytes=weights_bytes(info.path),
        reader=reader,
        tokenizer=loaded.tokenizer,
        predictor=TorchPredictor(model, loaded.tokenizer, reader, model.labels, max_length=longest),
        window=longest,
        folder=info.path if info.task and info.labels else None,
        **_torch(model, loaded.tokenizer.pad_id, device),
    )


def _exported(path: Path, threads: int) -> TimingTarget:
    """An exported folder, run without torch."""
    info, times = read_folder(path), []
    for _ in range(_LOADS):
        start = time.perf_counter()
        predictor = RuntimePredictor(path, threads=threads)
        times.append((time.perf_counter() - start) * 1000)
    choice, shape = predictor.choice, hf_config.read_hf_config(info.config, where=str(path))
    session = open_session(choice.file, threads=threads, kind=choice.kind)

    def forward(rows: Rows) -> Call:
        inputs = [feeds(row, np.zeros_like(row)) for row in rows]
        return lambda: [session(each) for each in inputs]

    files = [
        choice.file,
        *([choice.file.with_suffix(".bin")] if choice.file.suffix == ".xml" else []),
    ]
    return TimingTarget(
        name=path.name,
        task=predictor.task.head,
        labels=predictor.labels,
        config=shape,
        params=count_parameters(shape, len(predictor.labels), predictor.task.head),
        size_bytes=sum(file.stat().st_size for file in files),
        forward=forward,
        backend=session.backend,
        dtype=choice.kind or "unknown",
        reader=predictor.task,
        tokenizer=predictor.tokenizer,
        predictor=predictor,
        window=predictor.max_length,
        folder=path,
        details={"weights": "loaded", "candidate": choice.name, "load_ms": median(times)},
    )


def preset(
    name: str, config: EncoderConfig, *, task: str, labels: tuple[str, ...], device: str = "cpu"
) -> TimingTarget:
    """A model of a published shape with random weights."""
    model = heads.build(config, task, labels, 0).eval().to(device)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    shared = _torch(model, config.pad_id, device)
    return TimingTarget(
        name=name,
        size_bytes=size,
        window=config.max_length,
        details={"weights": "random"},
        **shared,
    )


def _torch(model: Model, pad_id: int, device: str) -> dict[str, Any]:
    return {
        "task": model.task,
        "labels": model.labels,
        "config": model.config,
        "params": sum(p.numel() for p in model.parameters()),
        "forward": partial(_torch_call, model, pad_id, device),
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "synchronize": None if device == "cpu" else torch.cuda.synchronize,
    }


def _torch_call(model: Model, pad_id: int, device: str, rows: Rows) -> Call:
    """The model on the padded batch of some windows; no mask where nothing is padded, as the published measurement."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad_id, np.int64)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    given = torch.from_numpy(ids).to(device)
    real = None if mask.all() else torch.from_numpy(mask).to(device)
    return partial(model.answer, given, real, None)


def needed(opened: TimingTarget) -> tuple[Task, Tokenizer, Predictor]:
    """Reader, tokenizer and predictor of a model that is to read texts; raises ConfigError for a preset."""
    if opened.reader is None or opened.tokenizer is None or opened.predictor is None:
        raise ConfigError(
            f"preset '{opened.name}' has no tokenizer to read texts with: measure a folder"
        )
    return opened.reader, opened.tokenizer, opened.predictor
