"""Make a smaller model of a bigger one, for a student to start from: fewer layers, narrower parts.

The first layers stay. Of their feed-forward parts the neurons that count most on some texts stay,
and of the embeddings the directions in which the pieces differ most. What that costs is for
training to heal: the folder is the `model` of a student. A smaller vocabulary is `destila trim`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from destila import hub
from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.measuring.sample_texts import spread, texts_of
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models.macs import macs_of
from destila.models.presets import count_parameters
from destila.tasks import task_of, task_of_folder
from destila.terminal import cell

PANEL = "A finished model"

TEXTS = 500
"""Texts on which neurons and pieces are counted."""


class Config(Options):
    """What to cut, and by which texts."""

    model: str = opt(..., "model folder or hub name, of a tagger or classifier, or without a head")
    texts: str = opt(..., "file of texts, as `predict` reads it", flag="--texts")
    out: str = opt(..., "folder to write", flag="--out")
    layers: int | None = opt(None, "the first so many layers; none = all", ge=1)
    ffn: int | None = opt(None, "width of the feed-forward parts; none = as they are", ge=1)
    embedding: int | None = opt(
        None,
        "of a bert: width of the embeddings, projected to the hidden size; none = as now",
        ge=1,
    )
    max_length: int = opt(128, "tokens of a text that are read", ge=3)


def run(arguments: Config) -> dict[str, Any]:
    """Write the smaller folder; return `out`, and [before, after] of its sizes.

    Raises:
        ConfigError: `out` is the model's own folder, or nothing is to be cut.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.models import hf, store
    from destila.models.smaller.factorise import factorise_embeddings
    from destila.models.smaller.narrow_ffn import narrow_ffn

    folder = hub.resolve(arguments.model)
    if Path(arguments.out).resolve() == folder.resolve():
        raise ConfigError(f"--out {arguments.out} is the model itself: give another folder")
    if not (arguments.layers or arguments.ffn or arguments.embedding):
        raise ConfigError("nothing to cut: give --layers, --ffn or --embedding")

    # An encoder alone gets a head for the time being, of a tagger: it may become one.
    info = read_folder(folder)
    task = task_of_folder(info) if info.task else task_of("tag")
    head: dict[str, Any] = {} if info.task else {"task": task.head, "labels": ("O",)}

    # Fewer layers first, since neurons are compared where they will stand.
    loaded = hf.load(folder, layers=arguments.layers, **head)
    model, before = loaded.model, hf.load(folder, **head).model
    texts = spread(texts_of(arguments.texts, task, folder), TEXTS)
    length = min(arguments.max_length, loaded.max_length)
    windows = task.encode(texts, loaded.tokenizer, model.labels, max_length=length).features
    if arguments.ffn:
        model = narrow_ffn(model, arguments.ffn, ((w.input_ids, w.type_ids) for w in windows))
    if arguments.embedding:
        counts = np.zeros(model.config.vocab_size, np.int64)
        for window in windows:
            np.add.at(counts, window.input_ids, 1)
        model = factorise_embeddings(model, arguments.embedding, counts)

    kept: dict[str, Any] = {"extra": info.extra, "headless": not info.task}
    store.save_model(model, loaded.tokenizer, arguments.out, **kept)
    shapes = [before.config, model.config]
    labels = len(model.labels)
    return {
        "out": arguments.out,
        "model": str(folder),
        "params": [count_parameters(shape, labels, model.task) for shape in shapes],
        "size_bytes": [weights_bytes(folder), weights_bytes(Path(arguments.out))],
        "macs": [macs_of(shape, model.task, labels)["linear_128"] for shape in shapes],
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return sizes before and after as rows."""
    names = {"params": "parameters", "size_bytes": "size", "macs": "multiply-adds, 128 tokens"}
    rows = [
        {"": name, "before": cell(key, size[0]), "after": cell(key, size[1])}
        for key, name in names.items()
        if (size := result[key])
    ]
    following = command_line("measure", result["model"], result["out"])
    return {"title": f"pruned to {result['out']}", "rows": rows, "next": following}
