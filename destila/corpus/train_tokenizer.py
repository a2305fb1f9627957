"""A tokenizer from files of raw text: the lines of all documents go into its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from destila.config import Options, opt
from destila.corpus.documents import documents
from destila.errors import ConfigError
from destila.reading.shapes import MOST_PIECES
from destila.tokenizer.train import (
    SYMBOLS,
    TokenizerKind,
    learn,
    reservoir_sample,
    vocabulary_fit,
    without_endless_words,
)

_SAMPLE = 2000  # lines on which the fit is measured
_REPORTED = 10_000  # lines between reports while a sample is drawn


class TokenizerOptions(Options):
    """How a tokenizer is trained."""

    kind: TokenizerKind = opt(
        "bpe", "bpe (ALBETO) | unigram | wordpiece (BERT) | bytelevel (RoBERTa)"
    )
    vocab_size: int = opt(31_000, "pieces, special tokens included", ge=64, le=MOST_PIECES)
    lowercase: bool = opt(True, "turn capitals into small letters")
    keep_accents: bool = opt(True, "keep á é í ó ú ü ñ; false makes 'año' and 'ano' one word")
    symbols: tuple[str, ...] = opt(
        SYMBOLS, "characters that are never merged with others; not for bytelevel"
    )
    alphabet: int = opt(
        1000, "most frequent characters that are known (bpe, wordpiece)", ge=30, le=0x110000
    )
    max_length: int = opt(
        512, "longest input, in tokens, that its models will take", ge=8, le=1 << 20
    )
    limit: int = opt(0, "read so many lines at most; 0 = all", ge=0)
    sample: int = opt(
        0,
        "train on so many lines, drawn evenly from all, which are held in memory; 0 = all lines",
        ge=0,
        later=True,
    )


def train_tokenizer(
    files: Sequence[str | Path],
    out: str | Path,
    options: TokenizerOptions,
    *,
    columns: Sequence[str] = ("text",),
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train a tokenizer on files and write it to a folder, in place of one that is there.

    Args:
        files: text, JSON lines or Parquet, packed or not.
        out: folder of the tokenizer.
        options: kind, size and the rest.
        columns: field that holds the text in JSON lines and Parquet; one for all files, or one
            each.
        progress: called with the number of lines read so far.

    Returns:
        out, kind, vocab, asked (the size that was asked for), lines (that were read), lines_drawn
        (of a sample), seconds, fingerprint, and how it fits a sample of the lines: unknown_share
        and tokens_per_word.

    Raises:
        ConfigError: an option does not fit the others.
        DataError: a file cannot be read.
        TokenizerError: the files hold no text.

    """
    _check(files, out, options, columns)
    start = time.perf_counter()
    sample: list[str] = []
    counter = _LineCounter(progress)

    lines: Iterable[str] = _lines(files, columns, options.limit)
    if options.sample:
        lines = _drawn(lines, options.sample, counter)

    tokenizer = learn(
        reservoir_sample(lines, _SAMPLE, sample),
        kind=options.kind,
        vocab_size=options.vocab_size,
        lowercase=options.lowercase,
        keep_accents=options.keep_accents,
        symbols=options.symbols,
        alphabet=options.alphabet,
        max_length=options.max_length,
        progress=None if options.sample else counter.report,
    )
    tokenizer.save(out)

    return {
        "out": str(out),
        "kind": options.kind,
        "vocab": tokenizer.vocab_size,
        "asked": options.vocab_size,
        "lines": counter.lines,
        **({"lines_drawn": min(options.sample, counter.lines)} if options.sample else {}),
        "seconds": time.perf_counter() - start,
        "fingerprint": tokenizer.fingerprint,
        **vocabulary_fit(tokenizer, sample),
    }


@dataclass(slots=True)
class _LineCounter:
    """Remembers how many lines were read, and passes it on."""

    progress: Callable[[int], None] | None
    lines: int = 0

    def report(self, lines: int) -> None:
        self.lines = lines
        if self.progress:
            self.progress(lines)


def _drawn(lines: Iterable[str], size: int, counter: _LineCounter) -> list[str]:
    """Return a uniform sample of lines, the same for the same lines; it takes its own memory alone.

    Args:
        lines: all of them; they are read once.
        size: of the sample.
        counter: told how many were read.
    """
    drawn: list[str] = []
    count = 0
    for count, _ in enumerate(reservoir_sample(lines, size, drawn), 1):
        if count % _REPORTED == 0:
            counter.report(count)
    counter.report(count)
    return drawn


def _lines(files: Sequence[str | Path], columns: Sequence[str], limit: int) -> Iterator[str]:
    """Stream the lines of all files, `limit` at most; 0 streams all."""
    # Every file is opened before the first is read, so that a wrong name shows at once and not
    # after an hour.
    if len(columns) == 1:
        columns = [columns[0]] * len(files)
    opened = [documents(file, column=column) for file, column in zip(files, columns, strict=True)]

    lines = map(without_endless_words, chain.from_iterable(chain.from_iterable(opened)))
    return islice(lines, limit) if limit else lines


def _check(
    files: Sequence[str | Path],
    out: str | Path,
    options: TokenizerOptions,
    columns: Sequence[str],
) -> None:
    """Raise ConfigError for arguments that do not fit."""
    if not files:
        raise ConfigError("files is empty: name at least one text file to train on")
    if len(columns) not in (1, len(files)):
        raise ConfigError(
            f"column names {len(columns)} fields for {len(files)} files: one, or one for each"
        )
    wrong = [s for s in options.symbols if len(s) != 1 or s.isspace()]
    if wrong:
        raise ConfigError(
            f"symbols holds {wrong[0]!r}: every symbol is one character that is not blank"
        )
    if Path(out).is_file():
        raise ConfigError(f"out = {out} is a file: give a folder")
