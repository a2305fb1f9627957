"""Make a vocabulary for one task: pieces that its texts never use are dropped.

Most of the smallest encoders is their table of pieces (4 of the 5.3 million values of ALBETO tiny).
What it costs is measured: the share of tokens that become others, on text that had no part in the
choice.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from destila import hub
from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.errors import ConfigError, DataError
from destila.inference.user_texts import strings_of
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.prune import keep_rows
from destila.tasks import task_of_folder
from destila.terminal import cell
from destila.tokenizer.trim_vocabulary import (
    changed_share,
    count_pieces,
    held_out_share,
    trim_vocabulary,
)

PANEL = "A finished model"


class Config(Options):
    """What to trim, and by which texts."""

    model: str = opt(..., "model folder with a task head")
    texts: tuple[str, ...] = opt(
        ...,
        "file of the task's texts, as `predict` reads them, repeatable",
        min_length=1,
        flag="--texts",
    )
    out: str = opt(..., "folder to write", flag="--out")
    size: int | None = opt(
        None, "pieces to keep, the most frequent ones; none = all that the texts use", ge=1
    )
    other: tuple[str, ...] = opt(
        (), "file of other text to measure the effect on, repeatable; none = a tenth of the texts"
    )


def run(arguments: Config) -> dict[str, Any]:
    """Write the smaller folder and return what it saves and what it costs.

    Returns:
        `out`, `model`; `pieces`, `parameters` and `size_bytes` as [before, after]; the `tokens`
        read, and the share of changed tokens: `changed_share` on the task's texts,
        `changed_share_elsewhere` on others.

    Raises:
        ConfigError: `out` is the model's own folder.
        DataError: there is no text to choose pieces by.
    """
    # A model cannot be read and written at once.
    source = hub.resolve(arguments.model)
    if Path(arguments.out).resolve() == source.resolve():
        raise ConfigError(f"--out {arguments.out} is the model itself: give another folder")

    loaded = hf.load(source, head_required=True)
    old, words = loaded.tokenizer, task_of_folder(read_folder(source)).needs_words

    # The pieces that stay are chosen by how often the task's texts use them.
    texts = partial(strings_of, arguments.texts)
    used = count_pieces(old, texts(), words=words)
    if not used.any():
        raise DataError(f"{', '.join(arguments.texts)}: no text to choose pieces by")
    trimmed = trim_vocabulary(old, used, size=arguments.size)
    smaller = keep_rows(loaded.model, trimmed.tokenizer, trimmed.ids)

    # The cost, on text that had no part in the choice: other files, or a tenth of these.
    if arguments.other:
        elsewhere = changed_share(old, trimmed, strings_of(arguments.other), words=words)
    else:
        elsewhere = held_out_share(old, used, list(texts()), size=arguments.size, words=words)

    # The folder, and what it saves.
    store.save_model(smaller, trimmed.tokenizer, arguments.out, extra=read_folder(source).extra)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (loaded.model, smaller)]
    return {
        "out": arguments.out,
        "model": str(source),
        "pieces": [old.vocab_size, trimmed.tokenizer.vocab_size],
        "parameters": sizes,
        "size_bytes": [weights_bytes(source), weights_bytes(Path(arguments.out))],
        "tokens": int(used.sum()),
        "changed_share": changed_share(old, trimmed, texts(), words=words),
        "changed_share_elsewhere": elsewhere,
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return sizes before and after as rows, and what it costs in sentences."""
    rows = [
        {"": key.removesuffix("_bytes"), **dict(zip(("before", "after"), sizes, strict=True))}
        for key in ("pieces", "parameters", "size_bytes")
        if (sizes := [cell(key, size) for size in result[key]])
    ]
    here, elsewhere = (
        cell(key, result[key]) for key in ("changed_share", "changed_share_elsewhere")
    )
    lines = [
        f"{result['tokens']:,} tokens read: {here} of them become others, "
        f"and {elsewhere} on text that had no part in the choice."
    ]
    following = command_line("measure", result["model"], result["out"])
    return {"title": f"trimmed to {result['out']}", "rows": rows, "lines": lines, "next": following}
