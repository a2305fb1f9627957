"""Whatever can be timed, opened the same way.

A preset with random weights, a model folder, an exported folder, a predictor that a study trained,
a baseline: each becomes a `TimingTarget`, and `protocols.py` times nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from destila import hub
from destila.errors import ConfigError
from destila.inference.exported import is_exported
from destila.inference.predictor import Predictor, RuntimePredictor
from destila.inference.session import TokenWindow, feeds
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
from destila.types import Batch, Task

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


def open_target(
    name: str, *, task: str, labels: int, threads: int, device: str = "cpu"
) -> TimingTarget:
    """Return a preset with random weights, or a model folder, in evaluation mode.

    Args:
        name: of a preset, else a model folder or hub name.
        task: of a model that has no head of its own.
        labels: how many such a model gets.
        threads: of an exported model, which is told when it opens a file; torch is told by its
            caller.
        device: "cpu" or "cuda", for torch.

    Raises:
        ConfigError: there is no such device.
        ModelError: there is no such model, or it is damaged.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device = '{device}': torch finds no GPU here; leave --device out")

    # A preset's name wins over a folder of the same name.
    names = tuple(str(i) for i in range(labels))
    if name in PRESETS:
        return preset_target(name, PRESETS[name], task=task, labels=names, device=device)
    path = hub.resolve(name)
    if is_exported(path):
        return _exported_target(path, threads)
    return _folder_target(name, path, task=task, labels=names, device=device)


def preset_target(
    name: str, config: EncoderConfig, *, task: str, labels: tuple[str, ...], device: str = "cpu"
) -> TimingTarget:
    """Return a model of a published shape with random weights.

    Args:
        name: for the record.
        config: the shape.
        task: of its head.
        labels: of its head.
        device: "cpu" or "cuda".
    """
    model = heads.build_model(config, task, labels, 0).eval().to(device)
    return TimingTarget(
        name=name,
        head=task,
        labels=labels,
        params=sum(p.numel() for p in model.parameters()),
        size_bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
        forward=partial(_torch_call, model, config.pad_id, device),
        config=config,
        window=config.max_length,
        device=_device_name(device),
        synchronize=_synchronize(device),
        details={"weights": "random"},
    )


def predictor_target(
    predictor: Predictor, task: Task, *, name: str, params: int, size_bytes: int, dtype: str
) -> TimingTarget:
    """Return a predictor that is open already, on the CPU: of torch, of an export, or a baseline.

    Args:
        predictor: from texts to labels.
        task: with which windows are made.
        name: for messages.
        params: number of its weights.
        size_bytes: on disk.
        dtype: of its arithmetic, in words.
    """
    common: dict[str, Any] = {
        "name": name,
        "head": task.head,
        "task": task,
        "labels": predictor.labels,
        "params": params,
        "size_bytes": size_bytes,
        "predictor": predictor,
        "dtype": dtype,
    }
    if isinstance(predictor, RuntimePredictor):
        return TimingTarget(**common, **_runtime_parts(predictor))
    if not isinstance(predictor, TorchPredictor):
        return TimingTarget(**common, backend="sklearn")

    model = predictor.model.eval()
    config = getattr(model, "config", None)
    return TimingTarget(
        **common,
        forward=partial(_torch_call, model, predictor.tokenizer.pad_id, "cpu"),
        tokenizer=predictor.tokenizer,
        config=config if isinstance(config, EncoderConfig) else None,  # transformers' own models
        window=predictor.max_length,
    )


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


def _folder_target(
    name: str, path: Path, *, task: str, labels: tuple[str, ...], device: str
) -> TimingTarget:
    """Return a folder with weights, run by torch."""
    info = read_folder(path)
    head, names = info.task or task, info.labels if info.task else labels
    # A folder without a head gets a new one.
    loaded, load_ms = _opened(lambda: hf.load(info.path, task=head, labels=names))
    model = loaded.model.eval().to(device)

    # A folder of ours says how long its windows were in training.
    longest = int(info.extra.get("max_length", loaded.max_length))
    details = {"weights": "loaded", "new_head": loaded.report.new_head, "load_ms": load_ms}
    if "max_length" in info.extra:
        details["max_length"] = longest

    reads = task_of_folder(info) if info.task else task_of(model.task)
    return TimingTarget(
        name=Path(name).name,
        head=model.task,
        labels=model.labels,
        params=sum(p.numel() for p in model.parameters()),
        size_bytes=weights_bytes(info.path),
        forward=partial(_torch_call, model, loaded.tokenizer.pad_id, device),
        predictor=TorchPredictor(model, loaded.tokenizer, reads, model.labels, max_length=longest),
        task=reads,
        tokenizer=loaded.tokenizer,
        config=model.config,
        window=longest,
        device=_device_name(device),
        synchronize=_synchronize(device),
        folder=info.path if info.task and info.labels else None,
        details=details,
    )


def _exported_target(path: Path, threads: int) -> TimingTarget:
    """Return an exported folder, run without torch."""
    predictor, load_ms = _opened(lambda: RuntimePredictor(path, threads=threads))
    choice, parts = predictor.choice, _runtime_parts(predictor)
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


def _runtime_parts(predictor: RuntimePredictor) -> dict[str, Any]:
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


def _torch_call(model: nn.Module, pad_id: int, device: str, windows: Sequence[TokenWindow]) -> Call:
    """Return a call of a torch model on the padded batch of some windows.

    A model of ours gets no mask where nothing is padded, and no types where all are 0, as in the
    published measurements.
    """
    longest = max(len(ids) for ids, _ in windows)
    ids = torch.full((len(windows), longest), pad_id)  # [B, L]
    types = torch.zeros_like(ids)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, (own_ids, own_types) in enumerate(windows):
        ids[row, : len(own_ids)] = torch.from_numpy(np.asarray(own_ids, np.int64))
        types[row, : len(own_ids)] = torch.from_numpy(np.asarray(own_types, np.int64))
        mask[row, : len(own_ids)] = True

    if isinstance(model, Model):
        real = None if bool(mask.all()) else mask.to(device)
        kinds = types.to(device) if bool(types.any()) else None
        return partial(model.answer, ids.to(device), real, kinds)

    # A model of transformers' takes a batch; nothing of it but these three tensors is looked at.
    no_units = torch.zeros((len(windows), 1), dtype=torch.int64)
    batch = Batch(
        features=(),
        input_ids=ids,
        mask=mask,
        type_ids=types,
        unit=torch.full_like(ids, -1),
        first=no_units,
        unit_mask=no_units.bool(),
        target=no_units,
    )
    return partial(model, batch)


def _opened(load: Callable[[], _T]) -> tuple[_T, float]:
    """Return what a function opens, and the median milliseconds that it takes."""
    times = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        opened = load()
        times.append((time.perf_counter() - start) * 1000)
    return opened, median(times)


def _device_name(device: str) -> str:
    return device if device == "cpu" else torch.cuda.get_device_name()


def _synchronize(device: str) -> Call | None:
    return None if device == "cpu" else torch.cuda.synchronize
