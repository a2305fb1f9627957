"""Label new texts with a model folder: lines, a file or standard input -> one JSON object per text.

`inference/label_texts.py` says how a text is given, and does the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.inference.label_texts import label_into_file, label_texts
from destila.progress import Progress, silent


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(..., "model folder")
    file: str | None = opt(None, "file of texts; none = `lines`")
    out: str | None = opt(None, "JSONL file to write; a run that was killed goes on in it")
    jsonl: bool | None = opt(
        None, "one JSON object per line; none = by the file's ending, of `lines` by the first"
    )
    threads: int | None = opt(
        None, "threads of an exported model; none = as many as this process may keep busy", ge=1
    )


def run(arguments: Config, lines: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Return the predictions of a file, or of `lines` when there is none, in order and read lazily.

    `out` is for `write`.
    """
    return label_texts(
        arguments.model,
        file=arguments.file,
        lines=lines,
        jsonl=arguments.jsonl,
        threads=arguments.threads,
    )


def write(arguments: Config, lines: Iterable[str] = (), progress: Progress = silent) -> int:
    """Write one object per text to `arguments.out` and return how many there are.

    Raises:
        ConfigError: there is no `out`, or it is the file of texts itself.
    """
    if arguments.out is None:
        raise ConfigError("no file to write the predictions to: give --out")

    return label_into_file(
        arguments.model,
        arguments.out,
        file=arguments.file,
        lines=lines,
        jsonl=arguments.jsonl,
        threads=arguments.threads,
        progress=progress,
    )
