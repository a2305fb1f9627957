"""Opens by name what is timed; torch is imported only for what torch runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from destila import hub
from destila.errors import require
from destila.inference.exported import is_exported
from destila.measuring.latency import using_threads
from destila.measuring.targets import TimingTarget, exported_target
from destila.models.presets import PRESETS


@contextmanager
def using_torch_threads(models: Sequence[str], count: int) -> Iterator[int]:
    """Run a block with `count` threads of torch, where one of the models needs torch.

    Exported models are told their threads when they are opened. Yields the number in use.

    Args:
        models: presets, model folders or hub names.
        count: threads to ask for.

    Raises:
        MissingExtraError: a model needs torch, which is not installed.
    """
    if all(_is_export(name) for name in models):
        yield count
        return

    torch = require("torch", "train")
    with using_threads(count, torch.get_num_threads, torch.set_num_threads) as used:
        yield used


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
        MissingExtraError: the model needs torch, which is not installed.
        ModelError: there is no such model, or it is damaged.
    """
    # A preset's name wins over a folder of the same name.
    path = None if name in PRESETS else hub.resolve(name)
    if path is not None and is_exported(path):
        return exported_target(path, threads)

    # Everything else is torch's.
    require("torch", "train")
    from destila.measuring.torch_targets import folder_target, preset_target
    from destila.training.devices import device_named

    device_named(device)
    names = tuple(str(i) for i in range(labels))
    if path is None:
        return preset_target(name, PRESETS[name], task=task, labels=names, device=device)
    return folder_target(name, path, task=task, labels=names, device=device)


def _is_export(name: str) -> bool:
    """Tell whether a name is that of an exported folder."""
    return name not in PRESETS and is_exported(hub.resolve(name))
