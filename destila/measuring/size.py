"""Bytes of a model on disk."""

from __future__ import annotations

from pathlib import Path

from destila.errors import ModelError

WEIGHTS = (".safetensors", ".bin", ".onnx", ".data", ".xml")
"""Endings of files that hold weights (`.onnx.data`, OpenVINO's `.xml` + `.bin`)."""


def weights_bytes(folder: Path | str) -> int:
    """Return the bytes of the weight files in a model folder.

    Raises:
        ModelError: there is no such folder, or no weights in it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ModelError(f"no model folder at {path}")

    files = [file for file in path.rglob("*") if file.is_file() and file.suffix in WEIGHTS]
    if not files:
        endings = ", ".join(WEIGHTS)
        raise ModelError(f"{folder} holds no weights: expected a file ending in {endings}")
    return sum(file.stat().st_size for file in files)
