"""The state of a run on disk: one safetensors file, written to a temporary name and renamed.

Model and optimiser tensors are in the file's body, everything else is JSON in its header, so a kill leaves
either the old state or the new one and never half of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from destila.errors import TrainingError
from destila.files import replacing
from destila.training.sharding import shard_like, whole_tensor


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: dict[str, Any]
) -> None:
    """Write model, optimiser and position (JSON-able); the old state survives a full disk (TrainingError)."""
    write_state(path, state_tensors(model, optimizer), position)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore model and optimiser in place; returns the position. Raises TrainingError on a file that is damaged or another model's."""
    position, values = read_state(path)
    restore_state(values, model, optimizer, where=path)
    return position


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and moments by their names in a file, whole; not copies. With several processes, every one must ask."""
    found = {f"model.{name}": whole_tensor(p.detach()) for name, p in model.named_parameters()}
    for i, p in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        for key, value in optimizer.state.get(p, {}).items():
            found[f"optimizer.{i}.{key}"] = (
                whole_tensor(value) if isinstance(value, Tensor) else torch.tensor(value)
            )
    return found


def write_state(path: Path, values: Mapping[str, Tensor], position: dict[str, Any]) -> None:
    """A file of tensors and a position (JSON-able); an older file survives a full disk (TrainingError)."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a kill: a state has one writer
        leftover.unlink()

    try:
        with replacing(path) as temporary:
            save_file(
                {k: v.contiguous().cpu() for k, v in values.items()},
                temporary,
                {"position": json.dumps(position)},
            )
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the training state cannot be written to {path}: {error}. The last saved state is intact: free some space and start again"
        ) from error


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The position and the tensors of a file; raises TrainingError when it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            position: dict[str, Any] = json.loads((file.metadata() or {})["position"])
            # clones, because the file is mapped: its pages may be badly aligned and must not outlive it
            values = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise TrainingError(
            f"the training state {path} is damaged ({error}): delete it to start this run again"
        ) from error
    return position, values


def is_readable(path: Path) -> bool:
    """Whether a file is whole, as far as its header can tell; cheap."""
    try:
        with safe_open(path, "pt") as file:
            return "position" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def restore_state(
    values: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, *, where: Path
) -> None:
    """Nothing; the tensors of `state_tensors` are put back. Raises TrainingError when they are another model's."""
    shapes = {f"model.{name}": p.shape for name, p in model.named_parameters()}
    if shapes != {key: value.shape for key, value in values.items() if key.startswith("model.")}:
        raise TrainingError(
            f"the training state {where} is of another architecture: delete it to start this run again"
        )
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(shard_like(values[f"model.{name}"], p))
    for i, p in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        saved = {
            k.split(".", 2)[2]: v for k, v in values.items() if k.startswith(f"optimizer.{i}.")
        }
        optimizer.state[p].clear()
        optimizer.state[p].update({k: shard_like(v, p) for k, v in saved.items()})
