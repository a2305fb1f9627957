"""A model folder that transformers also loads, written so that a reader never meets half of one.

    model.safetensors       Hugging Face names, a shared block once
    config.json             the encoder, id2label, label2id
    tokenizer.json, tokenizer_config.json
    destila.json            task, labels, and what the caller adds (text options, provenance)

The folder is written beside its place under a temporary name and then exchanged with it in one step
of the operating system where it has one (Linux `renameat2`); elsewhere the old folder is moved
aside first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from destila.errors import ModelError
from destila.files import replacing
from destila.models import hf_config, names
from destila.models.heads import Model
from destila.models.mlm import MaskedModel
from destila.tokenizer.tokenizer import Tokenizer
from destila.version import __version__


def save_model(
    model: Model | MaskedModel,
    tokenizer: Tokenizer,
    folder: Path | str,
    *,
    extra: Mapping[str, Any] | None = None,
    half: bool = False,
    headless: bool = False,
) -> None:
    """Write a model folder, replacing an older one only when the new one is complete.

    Args:
        model: its config, task, labels and weights.
        tokenizer: what it reads with.
        folder: to write.
        extra: JSON-able facts for destila.json, beside `task` and `labels`.
        half: store weights in 16 bits (f16), for a file to share; loaded they are 32 bits again.
        headless: store the encoder alone, because nothing has trained its head.

    Raises:
        ModelError: the disk refuses; the older folder is then still there.
    """
    dtype = torch.float16 if half else torch.float32
    with new_folder(Path(folder), what="model") as partial:
        # weights under their names in Hugging Face models
        parameters = {
            name: value
            for name, value in model.named_parameters()
            if not headless or name.startswith("encoder.")
        }
        table = names.weight_names(model.config, model.task, parameters)
        tensors = {
            table[name]: value.detach().to(dtype).cpu().contiguous()
            for name, value in parameters.items()
        }
        weights = partial / "model.safetensors"
        save_file(tensors, weights, metadata={"format": "pt"})
        write_description(model, tokenizer, partial, dict(extra or {}), headless=headless)

        # safetensors keeps its file from everybody else, and a service runs as somebody else
        weights.chmod((partial / "config.json").stat().st_mode)


@contextmanager
def new_folder(folder: Path, *, what: str) -> Iterator[Path]:
    """Hand out a folder to fill, which takes the place of `folder` when the block ends well.

    Args:
        folder: the place; it may be missing, or an older folder.
        what: is saved, for errors.

    Raises:
        ModelError: the disk refuses or `folder` is a file; the older folder is then still there,
        and
            nothing else.
    """
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file: a {what} is saved as a folder, choose another name")

    try:
        with replacing(folder, folder=True) as partial:
            yield partial
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"cannot save the {what} to {folder} ({reason}): free space or choose another place"
        ) from error


def write_description(
    model: Model | MaskedModel,
    tokenizer: Tokenizer,
    folder: Path,
    extra: Mapping[str, Any],
    *,
    headless: bool = False,
) -> None:
    """Write the files beside the weights: config.json, destila.json and the tokenizer.

    Args:
        model: what is described.
        tokenizer: what it reads with.
        folder: where the files go.
        extra: facts for destila.json.
        headless: the weights are the encoder's alone.
    """
    head = "encoder" if headless else model.task
    config = hf_config.hf_config_of(model.config, head, model.labels)
    _write_json(folder / "config.json", config)

    # the task is its head's, unless one of the user's own has that kind of head
    task = extra.get("task", head)
    facts = {"destila": __version__, "task": task, "labels": list(model.labels)}
    _write_json(folder / "destila.json", {**extra, **facts})

    # transformers' DistilBERT refuses token types
    types = ["token_type_ids"] if model.config.types else []
    tokenizer.save(folder, input_names=["input_ids", *types, "attention_mask"])


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file as transformers writes its own."""
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
