"""The state of a run on disk: one safetensors file, written to a temporary name and renamed.

Model and optimiser tensors are in the file's body, everything else is JSON in its header, so a kill
leaves either the old state or the new one and never half of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    """Write model, optimiser and position (JSON-able) to a file.

    Raises:
        TrainingError: the disk refuses; the older state is then still there.
    """
    write_state(path, state_tensors(model, optimizer), position)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore model and optimiser in place; return the position.

    Raises:
        TrainingError: the file is damaged, or another model's.
    """
    position, values = read_state(path)
    restore_state(values, model, optimizer, where=path)
    return position


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return weights and moments by their names in a file: whole tensors, not copies.

    With several processes, every one must call this.
    """
    tensors = {f"model.{name}": whole_tensor(p.detach()) for name, p in model.named_parameters()}
    for i, weight in enumerate(_optimized(optimizer)):
        for key, value in optimizer.state.get(weight, {}).items():
            moment = whole_tensor(value) if isinstance(value, Tensor) else torch.tensor(value)
            tensors[f"optimizer.{i}.{key}"] = moment
    return tensors


def write_state(path: Path, values: Mapping[str, Tensor], position: dict[str, Any]) -> None:
    """Write tensors and a position (JSON-able) to a file.

    Raises:
        TrainingError: the disk refuses; an older file is then still there.
    """
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a kill: a state has one writer
        leftover.unlink()

    tensors = {name: value.contiguous().cpu() for name, value in values.items()}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, {"position": json.dumps(position)})
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the training state cannot be written to {path}: {error}. "
            "The last saved state is intact: free some space and start again"
        ) from error


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the position and the tensors of a file.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            position: dict[str, Any] = json.loads((file.metadata() or {})["position"])

            # clones: pages of a mapped file may be badly aligned and must not outlive it
            names = file.keys()
            values = {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise TrainingError(
            f"the training state {path} is damaged ({error}): delete it to start this run again"
        ) from error
    return position, values


def is_readable(path: Path) -> bool:
    """Return whether a file is whole, as far as its header can tell; cheap."""
    try:
        with safe_open(path, "pt") as file:
            return "position" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def restore_state(
    values: Mapping[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    where: Path,
) -> None:
    """Put the tensors of `state_tensors` back into a model and its optimiser.

    Args:
        values: whole tensors by name.
        model: changed in place.
        optimizer: its moments are replaced.
        where: the file they come from, for errors.

    Raises:
        TrainingError: the tensors are another model's.
    """
    # a state of other shapes is refused before anything is changed
    expected = {f"model.{name}": p.shape for name, p in model.named_parameters()}
    saved = {name: value.shape for name, value in values.items() if name.startswith("model.")}
    if expected != saved:
        raise TrainingError(
            f"the training state {where} is of another architecture: "
            "delete it to start this run again"
        )

    # the weights themselves
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(shard_like(values[f"model.{name}"], parameter))

    # the moments of weight i are stored as optimizer.i.KEY
    for i, weight in enumerate(_optimized(optimizer)):
        prefix = f"optimizer.{i}."
        moments = {
            name.removeprefix(prefix): shard_like(value, weight)
            for name, value in values.items()
            if name.startswith(prefix)
        }
        optimizer.state[weight].clear()
        optimizer.state[weight].update(moments)


def _optimized(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """Yield the weights of an optimiser, group after group."""
    for group in optimizer.param_groups:
        yield from group["params"]
