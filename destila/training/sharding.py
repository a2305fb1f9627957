"""Weights shared out among the processes of a run: FSDP (Zhao et al. 2023), `fully_shard`.

Each process keeps its part of every weight, gradient and moment, and layers are put together when
they are needed. Accelerate does this for GPUs alone, by the same function; here it is called
directly, so that two processes on a CPU can be compared with one. Files hold whole tensors: a run
may go on with another number of processes, or without sharding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard_model(model: nn.Module, device: torch.device, processes: int) -> None:
    """Share out a model's weights in place, layer by layer, before its optimiser is made."""
    encoder: Any = model.encoder
    mesh = init_device_mesh(device.type, (processes,))
    for block in encoder.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole_tensor(value: Tensor) -> Tensor:
    """Return the whole of a tensor that may be shared out; every process must call this."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """Return a copy of a whole tensor, shared out as another one of its shape is, if that is.

    Args:
        value: whole, the same in every process.
        like: decides the device and, where it is shared out and of the same shape, the parts.
    """
    value = value.to(like.device, copy=True)
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
