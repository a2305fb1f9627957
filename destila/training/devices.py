"""The device that a command or a measurement asks for, and what it is called in records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from destila.errors import ConfigError

DeviceName = Literal["cpu", "cuda"]


def device_named(name: str) -> torch.device:
    """Return a device by its name, "cpu" or "cuda".

    Raises:
        ConfigError: there is no such device.
    """
    if name != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device = '{name}': torch finds no GPU here; leave --device out")
    return torch.device(name)


def device_label(device: torch.device | str) -> str:
    """Return what a record calls a device: "cpu", or the name of the GPU."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def waiter(device: torch.device | str) -> Callable[[], Any] | None:
    """Return what waits for a GPU, so that its work is timed whole; None on a CPU."""
    return torch.cuda.synchronize if torch.device(device).type == "cuda" else None
