"""Train a tokenizer on text files."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import command_line
from destila.config import opt
from destila.corpus.train_tokenizer import TokenizerOptions, train_tokenizer
from destila.progress import Progress, silent

PANEL = "Raw text"


class Config(TokenizerOptions):
    """Arguments of `destila tokenizer`."""

    files: tuple[str, ...] = opt(..., "text, .jsonl or .parquet; also .gz, .xz, .zst")
    out: str = opt(..., "folder to write", flag="--out")
    column: tuple[str, ...] = opt(
        ("text",),
        "field of JSON lines or Parquet that holds the text; of all files, or one for each",
        min_length=1,
    )


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Train and write a tokenizer; return what was trained and how it fits a sample of the text."""
    # `Config` has the files besides; the library takes the options alone.
    options = {name: getattr(config, name) for name in TokenizerOptions.model_fields}
    return train_tokenizer(
        config.files,
        config.out,
        TokenizerOptions(**options),
        columns=config.column,
        # How many lines there are is not known before they are read.
        progress=lambda lines: progress("lines read", lines, 0),
    )


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the tokenizer, and what it is for."""
    following = command_line("corpus", "text.txt", "--tokenizer", result["out"], "--out", "corpus")
    facts = {key: value for key, value in result.items() if key != "lines"}
    return {"title": "tokenizer written", "lines read": result["lines"], **facts, "next": following}
