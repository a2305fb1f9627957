"""A model folder with a vocabulary for its task: pieces that the task's text never uses are dropped.

Most of the smallest encoders is their table of pieces (4 of the 5.3 million values of ALBETO tiny). What it costs is
measured: the share of tokens that become others, on text that had no part in the choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from destila import hub
from destila.config import Options, opt
from destila.errors import ConfigError, DataError
from destila.files import open_text
from destila.inference.texts import is_jsonl, read_texts
from destila.measuring.size import weights_bytes
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.prune import pick_rows
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.trim_vocabulary import changed_share, count_pieces, trim_vocabulary

_FOLDS = 10
"""One line of so many is left out when the effect on other text is estimated."""


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(..., "model folder with a task head")
    texts: tuple[str, ...] = opt(
        ..., "files of the task's texts, as `predict` reads them", min_length=1
    )
    out: str = opt(..., "folder to write")
    size: int | None = opt(
        None, "pieces to keep, the most frequent ones; none = all that the texts use", ge=1
    )
    other: tuple[str, ...] = opt(
        (), "files of other text, to measure the effect on; none = a tenth of the texts"
    )


def run(arguments: Config) -> dict[str, Any]:
    """Writes the smaller folder; returns pieces, parameters, bytes before and after, and the share of changed tokens."""
    source = hub.resolve(arguments.model)
    if Path(arguments.out).resolve() == source.resolve():
        raise ConfigError(f"--out {arguments.out} is the model itself: give another folder")
    loaded = hf.load(source, head_required=True)
    old, words = loaded.tokenizer, loaded.model.task == "tag"
    seen = count_pieces(old, _texts(arguments.texts), words=words)
    if not seen.any():
        raise DataError(f"{', '.join(arguments.texts)}: no text to choose pieces by")
    found = trim_vocabulary(old, seen, size=arguments.size)
    smaller = pick_rows(loaded.model, found.tokenizer, found.ids)
    elsewhere = (
        changed_share(old, found, _texts(arguments.other), words=words)
        if arguments.other
        else _held_out(old, seen, arguments, words=words)
    )
    store.save(smaller, found.tokenizer, arguments.out, extra=read_folder(source).extra)
    values = [sum(p.numel() for p in model.parameters()) for model in (loaded.model, smaller)]
    return {
        "out": arguments.out,
        "pieces": [old.vocab_size, found.tokenizer.vocab_size],
        "parameters": values,
        "size_bytes": [weights_bytes(source), weights_bytes(Path(arguments.out))],
        "tokens": int(seen.sum()),
        "changed_share": changed_share(old, found, _texts(arguments.texts), words=words),
        "changed_share_elsewhere": elsewhere,
    }


def _held_out(old: Tokenizer, seen: np.ndarray, arguments: Config, *, words: bool) -> float:
    """The share of changed tokens in one line of ten, by a vocabulary chosen from the other nine."""
    tenth = list(_texts(arguments.texts))[::_FOLDS]
    rest = trim_vocabulary(old, seen - count_pieces(old, tenth, words=words), size=arguments.size)
    return changed_share(old, rest, tenth, words=words)


def _texts(files: tuple[str, ...]) -> Iterator[str]:
    """Every text of the files: lines, both sides of a tab, the strings of JSON rows."""
    for file in files:
        for row in read_texts(open_text(file), jsonl=is_jsonl(file), where=file, pairs=True):
            values = [row] if isinstance(row, str) else _flat(row)
            yield from (value for value in values if isinstance(value, str))


def _flat(row: dict[str, Any]) -> Iterator[Any]:
    keys = ("text", "pair", "question", "context")
    given = row.get("words")
    return chain(
        (row[key] for key in keys if key in row), [" ".join(map(str, given))] if given else []
    )
