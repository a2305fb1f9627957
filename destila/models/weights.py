"""Weight files of a folder -> tensors under current names, checked.

safetensors only. A folder that has nothing but `pytorch_model.bin` is converted once, by a loader
that runs no code (`weights_only=True`), into the cache (`$DESTILA_CACHE`, else `~/.cache/destila`),
and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from destila import hub
from destila.config import fingerprint
from destila.errors import ModelError
from destila.files import replacing
from destila.models.presets import PRESETS
from destila.reading.blame import Blaming
from destila.reading.shapes import WEIGHT_INDEX_FILE, read_shape

log = logging.getLogger(__name__)


def read_weights(folder: Path) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a folder by name, and whether they were converted from a `.bin`.

    Names are today's: `gamma` and `beta` are weight and bias, a `module.` prefix is gone.

    Raises:
        ModelError: a file is missing or damaged, or holds NaN or infinite values.
    """
    files = _files(folder, "model.safetensors")
    old = [] if files else _files(folder, "pytorch_model.bin")
    if not files and not old:
        raise ModelError(
            f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin"
        )

    # one file, or the parts of a large model
    tensors: dict[str, Tensor] = {}
    for file in files or [_converted(file) for file in old]:
        remedy = "copy or download it again"
        with Blaming(ModelError, f"{file} is damaged or incomplete", remedy=remedy):
            tensors |= load_file(file)

    # under today's names, and fit to compute with
    tensors = {_current_name(name): tensor for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"{folder}: weight '{name}' holds NaN or infinite values; the model is unusable"
            )
    return tensors, bool(old)


def _files(folder: Path, name: str) -> list[Path]:
    """Return the file of that name, else the parts that its index lists, else nothing."""
    if (folder / name).is_file():
        return [folder / name]

    index = folder / f"{name}.index.json"
    if not index.is_file():
        return []
    content = read_shape(index, WEIGHT_INDEX_FILE, ModelError, remedy="fetch the folder again")
    parts = sorted(set(content["weight_map"].values()))
    missing = [part for part in parts if not (folder / part).is_file()]
    if missing:
        raise ModelError(f"{index} names files that are not there: {', '.join(missing)}")
    return [folder / part for part in parts]


def _current_name(name: str) -> str:
    """Return the name that transformers gives a weight today."""
    name = name.removeprefix("module.")
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name


def _converted(file: Path) -> Path:
    """Return the safetensors copy of a `.bin`, made when it does not exist.

    It is named by the file's path, size and time.
    """
    facts = file.stat()
    key = fingerprint(str(file.resolve()), facts.st_size, facts.st_mtime_ns)
    target = hub.cache_root() / "converted" / f"{key}.safetensors"
    if target.is_file():
        return target

    log.warning("converting %s to safetensors once, into %s", file, target)
    damaged = f"{file} cannot be read as plain weights"
    with Blaming(ModelError, damaged, remedy="ask for model.safetensors"):
        table = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(table, dict):
        raise ModelError(f"{file} holds a {type(table).__name__}, not a table of weights")

    # clones, because tied weights share storage and safetensors stores every name on its own
    tensors = {
        name: value.clone().contiguous()
        for name, value in table.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    try:
        with replacing(target) as temporary:
            save_file(tensors, temporary)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"cannot write {target} ({error}): free space, or set DESTILA_CACHE elsewhere"
        ) from error
    return target


def weights_fingerprint(source: str | Path) -> str:
    """Return a digest of a folder's weights and config.json.

    A preset, which has no weights, is its own name.
    """
    if source in PRESETS:
        return str(source)

    folder = hub.resolve(source)
    files = _files(folder, "model.safetensors") or _files(folder, "pytorch_model.bin")
    digest = hashlib.blake2b(digest_size=16)
    for file in [folder / "config.json", *files]:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
