"""Bytes of a model on disk."""

from __future__ import annotations

from pathlib import Path

from destila.errors import ModelError

WEIGHTS = (".safetensors", ".bin", ".onnx", ".data", ".xml")
"""Endings of files that hold weights (`.onnx.data`, OpenVINO's `.xml` + `.bin`)."""


def weights_bytes(folder: Path | str) -> int:
    """Bytes of the weight files in a model folder; raises ModelError when there is none."""
    files = [file for file in _files(folder) if file.suffix in WEIGHTS]
    if not files:
        raise ModelError(f"{folder} holds no weights: expected a file ending in {', '.join(WEIGHTS)}")
    return sum(file.stat().st_size for file in files)


def folder_bytes(folder: Path | str) -> int:
    """Bytes of everything in a model folder: weights, tokenizer, configuration."""
    return sum(file.stat().st_size for file in _files(folder))


def _files(folder: Path | str) -> list[Path]:
    path = Path(folder)
    if not path.is_dir():
        raise ModelError(f"no model folder at {path}")
    return [file for file in path.rglob("*") if file.is_file()]
