"""What torch runs, as a target: a preset with random weights, a folder of weights, a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from destila.inference.predictor import Predictor, RuntimePredictor
from destila.inference.session import TokenWindow
from destila.measuring.latency import Call
from destila.measuring.size import weights_bytes
from destila.measuring.targets import TimingTarget, runtime_parts, time_opening
from destila.model_folder import read_folder
from destila.models import heads, hf
from destila.models.architecture import EncoderConfig
from destila.models.heads import Model
from destila.tasks import task_of, task_of_folder
from destila.training.batches import to_device
from destila.training.devices import device_label, waiter
from destila.training.predict import TorchPredictor
from destila.types import Batch, Task


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
        device=device_label(device),
        synchronize=waiter(device),
        details={"weights": "random"},
    )


def folder_target(
    name: str, path: Path, *, task: str, labels: tuple[str, ...], device: str
) -> TimingTarget:
    """Return a folder with weights, run by torch."""
    info = read_folder(path)
    head, names = info.task or task, info.labels if info.task else labels
    # A folder without a head gets a new one.
    loaded, load_ms = time_opening(lambda: hf.load(info.path, task=head, labels=names))
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
        device=device_label(device),
        synchronize=waiter(device),
        folder=info.path if info.task and info.labels else None,
        details=details,
    )


def predictor_target(
    predictor: Predictor, task: Task, *, name: str, params: int, size_bytes: int, dtype: str
) -> TimingTarget:
    """Return a predictor that is open already, where it is: of torch, of an export, or a baseline.

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
        return TimingTarget(**common, **runtime_parts(predictor))
    if not isinstance(predictor, TorchPredictor):
        return TimingTarget(**common, backend="sklearn")

    model = predictor.model.eval()
    config = getattr(model, "config", None)
    return TimingTarget(
        **common,
        forward=partial(_torch_call, model, predictor.tokenizer.pad_id, predictor.precision.device),
        tokenizer=predictor.tokenizer,
        config=config if isinstance(config, EncoderConfig) else None,  # transformers' own models
        window=predictor.max_length,
        device=device_label(predictor.precision.device),
        synchronize=waiter(predictor.precision.device),
    )


def _torch_call(
    model: nn.Module, pad_id: int, device: torch.device | str, windows: Sequence[TokenWindow]
) -> Call:
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
    return partial(model, to_device(batch, torch.device(device)))
