"""Turn raw text into token shards: clean, filtered, without duplicates."""

from __future__ import annotations

from typing import Any

from destila.commands._cards import command_line
from destila.config import Options, opt
from destila.corpus.build_corpus import build_corpus, read_corpus_options
from destila.progress import Progress, silent

PANEL = "Raw text"
RESUMES = True


class Config(Options):
    """Arguments of `destila corpus`; a recipe or `set` says the rest."""

    sources: tuple[str, ...] = opt(
        ..., "a recipe (TOML), or files: text, .jsonl, .parquet; packed or not", min_length=1
    )
    out: str | None = opt(None, "folder to write; a killed run goes on in it")
    tokenizer: str | None = opt(None, "tokenizer folder or hub name")
    set: tuple[str, ...] = opt((), "override a key: --set near.use=false", metavar="KEY=VALUE")


def run(config: Config, progress: Progress = silent) -> dict[str, Any]:
    """Make a corpus; return its manifest and `made`, whether it had to be made."""
    # A recipe or files: the options say which steps are made.
    options = read_corpus_options(
        config.sources, out=config.out, tokenizer=config.tokenizer, sets=config.set
    )

    return build_corpus(options, progress)


def show(result: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of every step as rows."""
    # In the order of the steps: how many texts each one left.
    rows = [{"step": step, "count": count} for step, count in result["counts"].items()]
    following = command_line("pretrain", "recipes/start/albeto-tiny.toml")
    return {"title": "corpus written", "rows": rows, "next": following}
