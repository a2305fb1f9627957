"""`destila tokenizer`: text files in, a folder with a tokenizer out (tokenizer.json, tokenizer_config.json)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from pydantic import Field

from destila.config import Options, opt
from destila.corpus.documents import documents
from destila.errors import ConfigError
from destila.tokenizer.train import SYMBOLS, Kind, fit_of, learn, sample_of

_SAMPLE = 2000  # lines on which the fit is measured


class Training(Options):
    """How a tokenizer is trained."""

    kind: Kind = opt("bpe", "bpe (ALBETO) | unigram | wordpiece (BERT) | bytelevel (RoBERTa)")
    vocab_size: int = opt(31_000, "pieces, special tokens included", ge=64)
    lowercase: bool = opt(True, "turn capitals into small letters")
    keep_accents: bool = opt(True, "keep á é í ó ú ü ñ; false makes 'año' and 'ano' one word")
    symbols: tuple[str, ...] = opt(
        SYMBOLS, "characters that are never merged with others; not for bytelevel"
    )
    alphabet: int = opt(1000, "most frequent characters that are known (bpe, wordpiece)", ge=30)
    max_length: int = opt(512, "longest input, in tokens, that its models will take", ge=8)
    limit: int = opt(0, "read so many lines at most; 0 = all", ge=0)


class Config(Training):
    """What to train on and how."""

    files: tuple[str, ...] = Field(description="text, .jsonl or .parquet; also .gz, .xz, .zst")
    column: tuple[str, ...] = Field(
        ("text",),
        description="field of JSON lines or Parquet that holds the text; of all files, or one for each",
        min_length=1,
    )
    out: str = Field(description="folder of the new tokenizer")


def run(config: Config, *, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """What was trained and how it fits: vocab, lines, seconds, unknown_share and tokens_per_word on a sample.

    progress: called with the number of lines read so far. An existing tokenizer in `out` is replaced.
    """
    _check(config)
    start = time.perf_counter()
    sample: list[str] = []
    read = 0

    def count(lines: int) -> None:
        nonlocal read
        read = lines
        if progress:
            progress(lines)

    tokenizer = learn(
        sample_of(_lines(config), _SAMPLE, sample),
        kind=config.kind,
        vocab_size=config.vocab_size,
        lowercase=config.lowercase,
        keep_accents=config.keep_accents,
        symbols=config.symbols,
        alphabet=config.alphabet,
        max_length=config.max_length,
        progress=count,
    )
    tokenizer.save(config.out)
    return {
        "out": config.out,
        "kind": config.kind,
        "vocab": tokenizer.vocab_size,
        "asked": config.vocab_size,
        "lines": read,
        "seconds": time.perf_counter() - start,
        "fingerprint": tokenizer.fingerprint,
        **fit_of(tokenizer, sample),
    }


def _lines(config: Config) -> Iterator[str]:
    # Every file is opened before the first is read, so that a wrong name shows at once and not after an hour.
    columns = config.column if len(config.column) > 1 else repeat(config.column[0])
    read = [
        documents(path, column=column) for path, column in zip(config.files, columns, strict=False)
    ]
    lines = chain.from_iterable(chain.from_iterable(read))
    return islice(lines, config.limit) if config.limit else lines


def _check(config: Config) -> None:
    if not config.files:
        raise ConfigError("files is empty: name at least one text file to train on")
    if len(config.column) not in (1, len(config.files)):
        raise ConfigError(
            f"column names {len(config.column)} fields for {len(config.files)} files: one, or one for each"
        )
    wrong = [s for s in config.symbols if len(s) != 1 or s.isspace()]
    if wrong:
        raise ConfigError(
            f"symbols holds {wrong[0]!r}: every symbol is one character that is not blank"
        )
    if Path(config.out).is_file():
        raise ConfigError(f"out = {config.out} is a file: give a folder")
