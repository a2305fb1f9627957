"""Raw text of any size to token shards, in memory that does not grow with it.

Three steps. Chunks: documents are cleaned, filtered, split and encoded by every core, so many
characters at a time, each chunk into a file of its own under `OUT/work`. Choice: duplicates are
found over the chunks' fingerprints. Shards: what is left is copied, in order, into shards, and a
manifest closes the corpus. A killed run goes on at the first chunk or shard that is missing; its
result is the same to the byte, since nothing depends on who made a chunk, or when.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field

from destila import cpu
from destila.config import build_config, fingerprint, load_config, opt
from destila.corpus import shards
from destila.corpus.chunks import ChunkOptions, dtype_of
from destila.corpus.filters import REASONS
from destila.corpus.ray_workers import make_chunks_with_ray
from destila.corpus.workers import TextSource, make_chunks
from destila.corpus.write_shards import ChosenDocuments, choose_documents, write_shards
from destila.errors import ConfigError, DataError, require
from destila.files import find_data, locked, waiting, write_text
from destila.progress import Progress, silent
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer

_log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Where a corpus is made changes nothing of it.
_PLACES = {"files", "out", "tokenizer", "workers", "cluster"}
_SHARD = re.compile(r"\d{5}\.(?:documents|sentences|tokens)\.npy")


class CorpusOptions(ChunkOptions):
    """What a corpus is made of and how."""

    files: tuple[str, ...] = Field(
        description="text, .jsonl or .parquet; also .gz, .xz, .zst; also below DESTILA_DATA"
    )
    out: str = Field(description="folder of the corpus")
    tokenizer: str = Field(description="folder of the tokenizer, or a hub name")
    column: str = opt("text", "field of JSON lines or Parquet that holds the text")
    exact: bool = opt(True, "drop documents that equal an earlier one")
    workers: int = opt(0, "processes, some 150 MB each; 0 = one per core", ge=0)
    cluster: str = opt(
        "",
        "make chunks with Ray: local, auto or HOST:PORT of a cluster that sees the same folders",
    )
    shard_tokens: int = opt(20_000_000, "tokens after which a shard is full", ge=1)
    piece_characters: int = opt(
        1_000_000, "characters of a chunk, which one worker takes at a time", ge=1
    )
    document_characters: int = opt(
        1_000_000, "characters after which a document is cut, between lines", ge=1
    )


def read_corpus_options(
    sources: Sequence[str],
    *,
    out: str | None = None,
    tokenizer: str | None = None,
    sets: Sequence[str] = (),
) -> CorpusOptions:
    """Read the options of a recipe, or build them from files of text and the two folders.

    Args:
        sources: one recipe (TOML), or the files of text.
        out: folder of the corpus; None takes the recipe's.
        tokenizer: folder of the tokenizer or a hub name; None takes the recipe's.
        sets: `key=value` overrides.

    Raises:
        ConfigError: an option is missing or wrong.

    """
    named = {"out": out, "tokenizer": tokenizer}
    folders = {key: value for key, value in named.items() if value is not None}
    if len(sources) == 1 and sources[0].endswith(".toml"):
        overrides = [f"{key}={json.dumps(value)}" for key, value in folders.items()]
        return load_config(CorpusOptions, sources[0], [*overrides, *sets])

    options = {"files": list(sources), **folders}
    return build_config(CorpusOptions, options, sets, where="command line")


def build_corpus(options: CorpusOptions, progress: Progress = silent) -> dict[str, Any]:
    """Make the corpus in `options.out`; return its manifest and `made`, whether it had to be made.

    A finished corpus is checked and left alone. When the disk is full, finished parts stay, and a
    new run goes on.

    Raises:
        ConfigError: the folder holds another corpus.
        DataError: sources cannot be read or hold nothing, or the disk is full.

    """
    _check(options)
    out, work = Path(options.out), Path(options.out) / "work"
    tokenizer = load_tokenizer(options.tokenizer)
    sources = _describe_sources(options, progress)
    with _full_disk_reported(out):
        out.mkdir(parents=True, exist_ok=True)

    with locked(out / "lock", waiting(_log, "makes the corpus", out)):
        key = _key(options, tokenizer, sources)
        manifest = _finished_manifest(out, key, tokenizer)
        if manifest is not None:
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed after its manifest
            return manifest | {"made": False}

        with _full_disk_reported(out):
            manifest = _make(options, tokenizer, sources, key, progress)
        shutil.rmtree(work)
        return manifest | {"made": True}


def corpus_fingerprint(options: CorpusOptions, tokenizer: Tokenizer) -> str:
    """Name the corpus that options make, text and libraries included.

    Raises:
        DataError: a source is missing.

    """
    return _key(options, tokenizer, _describe_sources(options, silent))


def _check(options: CorpusOptions) -> None:
    """Raise what is wrong with the options before any work."""
    if not options.files:
        raise ConfigError("files is empty: name at least one file of text")
    if Path(options.out).is_file():
        raise ConfigError(f"out = {options.out} is a file: give a folder")
    if options.cluster:
        require("ray", "ray")

    near = options.near
    if not near.use:
        return
    require("rensa", "corpus")
    if near.permutations % near.bands:
        raise ConfigError(
            f"near.permutations = {near.permutations} cannot be cut into near.bands = {near.bands} "
            "bands of one width: choose a multiple"
        )


def _describe_sources(options: CorpusOptions, progress: Progress) -> list[dict[str, Any]]:
    """Describe each source for the manifest: name as given, bytes and checksum."""
    paths = [find_data(file) for file in options.files]
    for path in paths:
        if not path.is_file():
            raise DataError(f"no file at {path}: check the path")
        if not path.stat().st_size:
            raise DataError(f"{path} is empty: give a file with text")

    sources = []
    for number, (name, path) in enumerate(zip(options.files, paths, strict=True)):
        progress("checksums of the sources", number, len(paths))
        size = path.stat().st_size
        sources.append({"name": name, "bytes": size, "sha256": shards.checksum(path)})
    return sources


def _finished_manifest(out: Path, key: str, tokenizer: Tokenizer) -> dict[str, Any] | None:
    """Return the manifest of a corpus that is there already and checked, None without one."""
    manifest = shards.read_manifest(out)
    if manifest is None:
        return None
    if manifest["fingerprint"] != key:
        raise ConfigError(
            f"{out} holds a corpus made of other text or with other options: give another folder"
        )
    shards.open_shards(out, tokenizer)
    return manifest


def _make(
    options: CorpusOptions,
    tokenizer: Tokenizer,
    sources: list[dict[str, Any]],
    key: str,
    progress: Progress,
) -> dict[str, Any]:
    """Make chunks, choose documents, write shards and the manifest; return the manifest."""
    out, work = Path(options.out), Path(options.out) / "work"
    work.mkdir(parents=True, exist_ok=True)

    # Every core cleans, filters, splits and encodes.
    texts = [_text_source(options, tokenizer, source, work) for source in sources]
    chunks = _make_chunks(options, tokenizer, texts, progress)

    # Duplicates are found over all chunks.
    progress("duplicates", 0, 0)
    chosen = choose_documents(chunks, work, exact=options.exact, near=options.near)
    _refuse_nothing(options, chosen)

    # What is left is copied into shards, and the manifest closes the corpus.
    _forget_other_shards(out, work, key)
    names = write_shards(
        chunks,
        chosen.kept,
        out,
        shard_tokens=options.shard_tokens,
        progress=lambda done, total: progress("shards", done, total),
    )
    described = [shards.describe_shard(out, name) for name in names]
    manifest = _manifest(options, tokenizer, key, sources, chosen, described)
    write_text(out / shards.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


def _text_source(
    options: CorpusOptions, tokenizer: Tokenizer, source: dict[str, Any], work: Path
) -> TextSource:
    """Place the chunks of a source in a folder that is named after all that they depend on.

    So one repaired file is one made anew, and the chunks of the others stay.
    """
    cut = [options.column, options.piece_characters, options.document_characters]
    name = fingerprint(
        shards.SHARD_FORMAT,
        _chunk_options(options),
        tokenizer.fingerprint,
        source["sha256"],
        [*cut, Path(source["name"]).suffixes],
        _versions(options),
    )
    return TextSource(
        find_data(source["name"]),
        work / name,
        column=options.column,
        chunk_characters=options.piece_characters,
        document_characters=options.document_characters,
    )


def _make_chunks(
    options: CorpusOptions,
    tokenizer: Tokenizer,
    sources: Sequence[TextSource],
    progress: Progress,
) -> list[Path]:
    """Make the chunks on the cores of this machine, or on those of a cluster."""

    def show(name: str, done: int) -> None:
        progress(f"chunks of {name}", done, 0)

    chunk_options = _chunk_options(options)
    if not options.cluster:
        workers = options.workers or cpu.available()
        return make_chunks(
            sources, options.tokenizer, chunk_options, workers=workers, progress=show
        )

    # A hub name or a relative path means nothing on another machine.
    folder = Path(options.out) / "work" / "tokenizer"
    tokenizer.save(folder)
    return make_chunks_with_ray(
        sources,
        folder,
        chunk_options,
        address=options.cluster,
        workers=options.workers,
        versions=_versions(options),
        progress=show,
    )


def _chunk_options(options: CorpusOptions) -> ChunkOptions:
    """Return the part of the options that chunks depend on."""
    return ChunkOptions(**{name: getattr(options, name) for name in ChunkOptions.model_fields})


def _versions(options: CorpusOptions) -> dict[str, str]:
    """Return the versions of the libraries whose results are in the corpus."""
    names = ["tokenizers", "rensa"] if options.near.use else ["tokenizers"]
    return {name: version(name) for name in names}


def _key(options: CorpusOptions, tokenizer: Tokenizer, sources: Sequence[dict[str, Any]]) -> str:
    """Name a corpus by all that its content depends on."""
    plain = options.model_dump(mode="json", exclude=_PLACES)
    sums = [source["sha256"] for source in sources]
    return fingerprint(shards.SHARD_FORMAT, plain, tokenizer.fingerprint, sums, _versions(options))


def _refuse_nothing(options: CorpusOptions, chosen: ChosenDocuments) -> None:
    """Raise DataError when no document is left, with the reasons."""
    if chosen.kept.any():
        return
    counts = chosen.counts
    if not counts["documents"]:
        raise DataError(f"{', '.join(options.files)} hold no text: every line is blank")
    reasons = ", ".join(f"{counts[reason]} {reason}" for reason in REASONS if counts[reason])
    raise DataError(f"no document of {counts['documents']} is left ({reasons}): see [filters]")


def _forget_other_shards(out: Path, work: Path, key: str) -> None:
    """Delete the shards that an earlier run with other options left when it was killed."""
    marker = work / "shards.key"
    if marker.is_file() and marker.read_text(encoding="utf-8") == key:
        return
    for path in out.iterdir():
        if _SHARD.fullmatch(path.name):
            path.unlink()
    write_text(marker, key)


def _manifest(
    options: CorpusOptions,
    tokenizer: Tokenizer,
    key: str,
    sources: list[dict[str, Any]],
    chosen: ChosenDocuments,
    described: list[dict[str, Any]],
) -> dict[str, Any]:
    """Write down what a corpus is made of and what it holds."""
    parts = ("documents", "sentences", "tokens")
    sums = {f"kept_{part}": sum(shard[part] for shard in described) for part in parts}
    return {
        "format": shards.SHARD_FORMAT,
        "fingerprint": key,
        "sources": sources,
        "counts": chosen.counts | sums,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "vocab_size": tokenizer.vocab_size},
        "dtype": dtype_of(tokenizer).name,
        "versions": _versions(options),
        "options": options.model_dump(mode="json", exclude=_PLACES),
        "shards": described,
    }


@contextmanager
def _full_disk_reported(out: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DataError(
            f"{out} cannot be written ({error.strerror}): free space and start again; finished "
            "parts are kept"
        ) from error
