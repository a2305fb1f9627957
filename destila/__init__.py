"""destila: from labelled Spanish text and a big teacher to a small, fast, measured encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from destila.errors import (
    CacheError,
    ConfigError,
    DataError,
    DestilaError,
    MissingExtraError,
    ModelError,
    TokenizerError,
    TrainingError,
)
from destila.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from destila.inference.labeller import Labeller

__all__ = [
    "CacheError",
    "ConfigError",
    "DataError",
    "DestilaError",
    "MissingExtraError",
    "ModelError",
    "TokenizerError",
    "TrainingError",
    "__version__",
    "load",
]


def load(folder: str | Path, *, threads: int | None = None) -> Labeller:
    """The model in a folder, ready to label: `destila.load("best").predict(["Vivo en Sevilla."])`.

    A folder of `destila export` runs in onnxruntime or OpenVINO, without torch; one with weights runs in torch.
    threads: of an exported model; None: as many as this process may keep busy. Raises ModelError when the folder has
    no task head with label names, or is damaged.
    """
    from destila.inference.labeller import (
        Labeller,
    )  # loads onnxruntime or torch, so only when asked for

    return Labeller(folder, threads=threads)
