"""Label texts: one JSON object per text.

`inference/label_texts.py` says how a text is given, and does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from destila.config import Options, opt
from destila.errors import ConfigError
from destila.files import stream_text
from destila.inference.label_texts import label_into_file, label_texts
from destila.progress import Progress, silent

PANEL = "A finished model"
RESUMES = "out"


class Config(Options):
    """Which texts, and where their answers go."""

    model: str = opt(..., "model folder")
    file: str | None = opt(
        None, "texts: one per line, or JSONL; none or - = standard input", argument=True
    )
    text: tuple[str, ...] = opt((), "a text to label, repeatable")
    out: str | None = opt(None, "JSONL file to write; a run over a file that was killed goes on")
    jsonl: bool | None = opt(
        None, "each line is one JSON object; none = by the file's ending, else by the first line"
    )
    threads: int | None = opt(
        None, "threads of an exported model; none = as many as this process may keep busy", ge=1
    )


def run(
    config: Config, progress: Progress = silent, *, lines: Iterable[str] | None = None
) -> Iterator[dict[str, Any]] | dict[str, Any]:
    """Return the answers in order, read lazily; with `out`, write them and return how many.

    Args:
        config: texts are those of `file`, else those of `text`, else `lines`.
        progress: told of every chunk that is written to `out`.
        lines: None: standard input.

    Raises:
        ConfigError: both `file` and `text` are given, or `out` is the file of texts itself.
    """
    if config.text and config.file:
        raise ConfigError(f"give texts in {config.file} or with --text, not both")

    # Where the texts come from.
    if config.text:
        lines = config.text
    elif lines is None:
        lines = stream_text(sys.stdin.buffer, "standard input")

    # "-" is standard input, as elsewhere on the command line.
    source: dict[str, Any] = {
        "file": None if config.file == "-" else config.file,
        "lines": lines,
        "jsonl": False if config.text else config.jsonl,  # an option is a text, whatever it holds
        "threads": config.threads,
    }

    # Without a file the answers go out one by one, as they come.
    if config.out is None:
        return label_texts(config.model, **source)

    count = label_into_file(config.model, config.out, progress=progress, **source)
    return {"out": config.out, "texts": count}
