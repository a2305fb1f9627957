"""Label texts: one JSON object per text, or a table of answers.

`inference/label_texts.py` says how a text is given, and does the work. Every text has an answer:
one that cannot be read has an "error", one that was cut a "warning".
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from destila.commands._cards import DEVICE_HELP, answers_card
from destila.config import Options, opt
from destila.cpu import MOST_THREADS
from destila.errors import ConfigError
from destila.inference.label_texts import Asked, label_into_file, label_texts
from destila.inference.user_texts import columns_named
from destila.progress import Progress, silent

PANEL = "A finished model"
RESUMES = "out"


class Config(Options):
    """Which texts, and where their answers go."""

    model: str = opt(..., "model folder")
    file: str | None = opt(
        None,
        "texts: CSV, TSV, Excel, JSON lines, column file, or one a line; - or none = stdin",
        argument=True,
    )
    text: tuple[str, ...] = opt((), "a text to label, repeatable")
    columns: tuple[str, ...] = opt(
        (),
        "columns of a table; none = those of the training data",
        commas=True,
        metavar="text=NAME,pair=NAME,id=NAME",
    )
    out: str | None = opt(
        None,
        "file to write: CSV or TSV (the input's columns and the answers), else JSON lines; a run "
        "over a file that was killed goes on",
    )
    overwrite: bool = opt(False, "replace --out although another command wrote it")
    jsonl: bool | None = opt(
        None, "each line is one JSON object; none = by the file's ending, else by the first line"
    )
    min_probability: float | None = opt(
        None, "labels of a lower probability are null, the best one beside them", ge=0, le=1
    )
    min_precision: float | None = opt(
        None, "the same, at the probability that had this precision on dev", ge=0, le=1
    )
    strict: bool = opt(False, "stop at the first text that cannot be read")
    threads: int | None = opt(
        None,
        "threads of an exported model, at most those of the machine; none = OMP_NUM_THREADS, else "
        "as many as this process may keep busy",
        ge=1,
        le=MOST_THREADS,
    )
    device: Literal["cpu", "cuda"] = opt("cpu", DEVICE_HELP)
    cluster: str | None = opt(
        None, "Ray cluster that labels FILE: local, auto or HOST:PORT; none = this machine"
    )
    workers: int = opt(0, "workers of the cluster; 0 = one per processor", ge=0)


def run(
    config: Config, progress: Progress = silent, *, lines: Iterable[str] | None = None
) -> Iterator[dict[str, Any]] | dict[str, Any]:
    """Return the answers in order, read lazily; with `out`, write them and return how many.

    Args:
        config: texts are those of `file`, else those of `text`, else `lines`.
        progress: told of every chunk that is written to `out`.
        lines: None: standard input.

    Raises:
        ConfigError: both `file` and `text` are given, or `out` cannot be written.
    """
    if config.text and config.file:
        raise ConfigError(f"give texts in {config.file} or with --text, not both")
    if config.cluster is not None and config.out is None:
        raise ConfigError("--cluster needs --out: a file in a folder that all machines see")

    if config.text:
        lines = config.text
    elif config.file not in (None, "-"):
        lines = ()  # standard input is left alone
    elif lines is None:
        lines = io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", errors="replace", newline="\n")

    asked = Asked(
        model=config.model,
        file=None if config.file == "-" else config.file,  # "-" is standard input
        lines=lines,
        jsonl=False if config.text else config.jsonl,  # an option is a text, whatever it holds
        columns=columns_named(config.columns),
        threads=config.threads,
        device=config.device,
        min_probability=config.min_probability,
        min_precision=config.min_precision,
        strict=config.strict,
        cluster=config.cluster,
        workers=config.workers,
    )

    # Without a file the answers go out one by one, as they come.
    if config.out is None:
        return label_texts(asked)
    return label_into_file(asked, config.out, overwrite=config.overwrite, progress=progress)


def show(result: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return what was written to a file, and what to type next."""
    return answers_card(result, config.model)
