"""Make a vocabulary for one task or language: pieces that its texts never use are dropped.

Most of the smallest encoders is their table of pieces, most of a multilingual one's is of other
languages. The cost is measured on text that had no part in the choice: tokens that become others.
"""

from __future__ import annotations

from dataclasses import asdict, replace
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
from destila.tasks import task_of_folder
from destila.terminal import cell
from destila.tokenizer.trim_vocabulary import (
    KeptCharacters,
    count_pieces,
    held_out_cost,
    trim_cost,
    trim_vocabulary,
)

PANEL = "A finished model"


class Config(Options):
    """What to trim, and by which texts."""

    model: str = opt(..., "model folder or hub name, with or without a task head")
    texts: tuple[str, ...] = opt(
        ..., "file of texts, as `predict` reads them, repeatable", min_length=1, flag="--texts"
    )
    out: str = opt(..., "folder to write", flag="--out")
    size: int | None = opt(
        None, "pieces to keep, the most frequent ones; none = all that the texts use", ge=1
    )
    characters: KeptCharacters = opt(
        "all", "single characters that stay though unused: all, or latin for no other alphabet's"
    )
    other: tuple[str, ...] = opt(
        (), "file of other text to measure the effect on, repeatable; none = a tenth of the texts"
    )


def run(arguments: Config) -> dict[str, Any]:
    """Write the smaller folder and return what it saves and what it costs.

    Returns:
        `out`, `model`; `pieces`, `parameters` and `size_bytes` as [before, after]; the `tokens`
        read; `changed_share` of tokens, `unknown_share` of characters, and both `elsewhere_`.

    Raises:
        ConfigError: `out` is the model's own folder.
        DataError: there is no text to choose pieces by.
    """
    # Torch is imported when there is work, and `--help` has none.
    from destila.models import store
    from destila.models.smaller import keep_rows

    folder = hub.resolve(arguments.model)
    if Path(arguments.out).resolve() == folder.resolve():
        raise ConfigError(f"--out {arguments.out} is the model itself: give another folder")

    # Pieces stay by how often the texts use them; an encoder may become a tagger, word by word.
    info = read_folder(folder)
    source = keep_rows.load_whole(info)
    old, words = source.tokenizer, bool(info.task) and task_of_folder(info).needs_words
    texts = partial(strings_of, arguments.texts)
    used = count_pieces(old, texts(), words=words)
    if not used.any():
        raise DataError(f"{', '.join(arguments.texts)}: no text to choose pieces by")
    wanted = used + count_pieces(old, texts(), words=True) if source.headless else used
    choice: dict[str, Any] = {"size": arguments.size, "characters": arguments.characters}
    trimmed = trim_vocabulary(old, wanted, **choice)
    smaller = keep_rows.keep_rows(source.model, trimmed.tokenizer, trimmed.ids)

    # The cost, on text that had no part in the choice: other files, or a tenth of these.
    if arguments.other:
        elsewhere = trim_cost(old, trimmed, strings_of(arguments.other), words=words)
    else:
        elsewhere = held_out_cost(old, used, texts, words=words, **choice)
    here = trim_cost(old, trimmed, texts(), words=words)

    kept: dict[str, Any] = {"extra": info.extra, "headless": source.headless}
    store.save_model(smaller, trimmed.tokenizer, arguments.out, **kept)
    return {
        "out": arguments.out,
        "model": str(folder),
        "pieces": [old.vocab_size, trimmed.tokenizer.vocab_size],
        "parameters": [source.parameters, replace(source, model=smaller).parameters],
        "size_bytes": [weights_bytes(folder), weights_bytes(Path(arguments.out))],
        "tokens": int(used.sum()),
        **{f"{part}_share": share for part, share in asdict(here).items()},
        **{f"elsewhere_{part}_share": share for part, share in asdict(elsewhere).items()},
    }


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return sizes before and after as rows, and what it costs in sentences."""
    rows = [
        {"": key.removesuffix("_bytes"), "before": cell(key, size[0]), "after": cell(key, size[1])}
        for key in ("pieces", "parameters", "size_bytes")
        if (size := result[key])
    ]
    share = {key: cell(key, value) for key, value in result.items() if key.endswith("_share")}
    lines = [
        f"{result['tokens']:,} tokens read: {share['changed_share']} of them become others, and "
        f"{share['elsewhere_changed_share']} on text that had no part in the choice. Characters "
        f"without a name: {share['unknown_share']} and {share['elsewhere_unknown_share']}."
    ]
    following = command_line("measure", result["model"], result["out"])
    return {"title": f"trimmed to {result['out']}", "rows": rows, "lines": lines, "next": following}
