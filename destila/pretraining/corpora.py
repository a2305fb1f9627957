"""The tokenizer and the corpora of a pre-training, made once and kept in the cache.

    $DESTILA_CACHE/tokenizers/FINGERPRINT     tokenizer.json, tokenizer_config.json
    $DESTILA_CACHE/corpora/FINGERPRINT        shards and their manifest

They are kept under names of what made them, so several recipes over the same text share both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from destila import hub
from destila.config import fingerprint, opt
from destila.corpus.build_corpus import CorpusOptions, build_corpus, corpus_fingerprint
from destila.corpus.chunks import ChunkOptions
from destila.corpus.shards import Shards, checksum, open_shards
from destila.corpus.train_tokenizer import TokenizerOptions, train_tokenizer
from destila.errors import ConfigError
from destila.files import find_data, locked, open_text, waiting
from destila.progress import Progress
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger(__name__)


class Corpus(ChunkOptions):
    """One source of text: raw files, or a folder of `destila corpus`."""

    files: tuple[str, ...] = Field((), description="raw text; also below DESTILA_DATA")
    folder: str | None = opt(None, "shards that `destila corpus` has made with the same tokenizer")
    column: str = opt("text", "field of JSON lines or Parquet that holds the text")
    exact: bool = opt(True, "drop documents that equal an earlier one")

    @model_validator(mode="after")
    def _one_source(self) -> Corpus:
        if bool(self.files) == (self.folder is not None):
            raise ValueError("give either `files` or `folder`")
        return self


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a pre-training reads."""

    tokenizer: Tokenizer
    corpora: tuple[Shards, ...]


def prepare_corpora(
    spec: str | TokenizerOptions, corpora: Sequence[Corpus], progress: Progress
) -> Prepared:
    """Take the tokenizer and the corpora from the cache, or make them now.

    Args:
        spec: folder or hub name of a tokenizer, or how to train one.
        corpora: the sources of text.
        progress: called while something is made.

    Raises:
        ConfigError: there is no text to train a tokenizer on.
        DataError: a text cannot be read.
        TokenizerError: the tokenizer cannot be loaded.
    """
    folder = spec if isinstance(spec, str) else _prepare_tokenizer(spec, corpora, progress)
    tokenizer = load_tokenizer(folder)
    shards = [_prepare_corpus(corpus, folder, tokenizer, progress) for corpus in corpora]
    return Prepared(tokenizer, tuple(shards))


def _prepare_tokenizer(
    spec: TokenizerOptions, corpora: Sequence[Corpus], progress: Progress
) -> str:
    """Train a tokenizer on the files of the corpora, unless the cache has it; return its folder."""
    files = [find_data(file) for corpus in corpora for file in corpus.files]
    if not files:
        raise ConfigError(
            "a tokenizer is trained on the files of the corpora, and none has any: name its folder"
        )
    columns = tuple(corpus.column for corpus in corpora for _ in corpus.files)
    for file in files:
        open_text(file)  # a missing or damaged one is reported before any work

    key = fingerprint(spec, [checksum(file) for file in files], columns)
    out = hub.cache_root() / "tokenizers" / key
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / "lock", waiting(log, "trains the tokenizer", out)):
        if not (out / "tokenizer.json").is_file():
            facts = train_tokenizer(
                files,
                out,
                spec,
                columns=columns,
                progress=lambda lines: progress("tokenizer: lines read", lines, 0),
            )
            pieces, lines = facts["vocab"], facts["lines"]
            log.info("tokenizer: %d pieces from %d lines in %s", pieces, lines, out)
    return str(out)


def _prepare_corpus(
    corpus: Corpus, folder: str, tokenizer: Tokenizer, progress: Progress
) -> Shards:
    """Open the shards of a source, made now unless the cache has them."""
    if corpus.folder is not None:
        return open_shards(corpus.folder, tokenizer)

    # The folder in the cache is named by all the options but itself.
    options: dict[str, Any] = corpus.model_dump(exclude={"folder"})
    root = hub.cache_root() / "corpora"
    config = CorpusOptions(**options, out=str(root), tokenizer=folder)
    config = config.model_copy(update={"out": str(root / corpus_fingerprint(config, tokenizer))})

    name = corpus.files[0]
    build_corpus(config, lambda what, done, total: progress(f"corpus {name}: {what}", done, total))
    return open_shards(config.out, tokenizer, verify=False)  # `build_corpus` has just done so
