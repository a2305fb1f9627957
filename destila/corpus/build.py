"""`destila corpus`: raw text of any size to token shards, in memory that does not grow with it.

Three steps. Pieces: stretches of documents are cleaned, filtered, split and encoded by every core, each into a file of
its own under `OUT/work`. Choice: duplicates are found over the pieces' fingerprints. Shards: what is left is copied, in
order, into shards, and a manifest closes the corpus. A killed run goes on at the first piece or shard that is missing;
its result is the same to the byte, since nothing depends on who made a piece, or when.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field

from destila import config as configs
from destila import cpu
from destila.config import fingerprint, opt
from destila.corpus import ray_workers as cluster
from destila.corpus import shards
from destila.corpus.chunks import ChunkOptions, dtype_of
from destila.corpus.filters import REASONS
from destila.corpus.workers import Source, make_all
from destila.corpus.write_shards import Chosen, choose, gather
from destila.errors import ConfigError, DataError, require
from destila.files import locked, waiting, write_text
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PLACES = {
    "files",
    "out",
    "tokenizer",
    "workers",
    "cluster",
}  # where it is made changes nothing of a corpus
_SHARD = re.compile(r"\d{5}\.(?:documents|sentences|tokens)\.npy")


class Config(ChunkOptions):
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
        "", "make pieces with Ray: local, auto or HOST:PORT of a cluster that sees the same folders"
    )
    shard_tokens: int = opt(20_000_000, "tokens after which a shard is full", ge=1)
    piece_characters: int = opt(1_000_000, "characters that one worker takes at a time", ge=1)
    document_characters: int = opt(
        1_000_000, "characters after which a document is cut, between lines", ge=1
    )


def read(
    given: Sequence[str],
    *,
    out: str | None = None,
    tokenizer: str | None = None,
    sets: Sequence[str] = (),
) -> Config:
    """The config of a recipe, or of files and the two folders; raises ConfigError."""
    folders = {
        key: value
        for key, value in {"out": out, "tokenizer": tokenizer}.items()
        if value is not None
    }
    if len(given) == 1 and given[0].endswith(".toml"):
        return configs.load(
            Config, given[0], [*(f"{k}={json.dumps(v)}" for k, v in folders.items()), *sets]
        )
    return configs.build(Config, {"files": list(given), **folders}, sets, where="command line")


def run(config: Config, progress: Callable[[str, int, int], None] | None = None) -> dict[str, Any]:
    """The manifest of the corpus in `out`, and `made`: whether it had to be made.

    A finished corpus is checked and left alone. Raises ConfigError when `out` holds another one, DataError for sources
    that cannot be read or hold nothing, and when the disk is full: then finished parts stay, and a new run goes on.
    """
    show = progress or (lambda *_: None)
    out = Path(config.out)
    _check(config)
    tokenizer = load_tokenizer(config.tokenizer)
    sources = _sources(config, show)
    with _disk(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out / "lock", waiting(log, "makes the corpus", out)):
        return _made(config, tokenizer, sources, show)


def fingerprint_of(config: Config, tokenizer: Tokenizer) -> str:
    """Names the corpus that a config makes, text and libraries included; raises DataError for a source that is missing."""
    return _key(config, tokenizer, _sources(config, lambda *_: None))


def _made(
    config: Config,
    tokenizer: Tokenizer,
    sources: list[dict[str, Any]],
    show: Callable[[str, int, int], None],
) -> dict[str, Any]:
    out, work = Path(config.out), Path(config.out) / "work"
    key = _key(config, tokenizer, sources)
    manifest = shards.read_manifest(out)
    if manifest is not None:
        if manifest["fingerprint"] != key:
            raise ConfigError(
                f"{out} holds a corpus made of other text or with other options: give another folder"
            )
        shards.open_shards(out, tokenizer)
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed after its manifest
        return manifest | {"made": False}
    with _disk(out):
        work.mkdir(parents=True, exist_ok=True)
        paths = [_source(config, tokenizer, source, work) for source in sources]
        pieces = _pieces(
            config, tokenizer, paths, lambda name, done: show(f"pieces of {name}", done, 0)
        )
        show("duplicates", 0, 0)
        chosen = choose(pieces, work, exact=config.exact, near=config.near)
        _refuse_nothing(config, chosen)
        _forget_others(out, work, key)
        names = gather(
            pieces,
            chosen.kept,
            out,
            shard_tokens=config.shard_tokens,
            progress=lambda done, total: show("shards", done, total),
        )
        described = [shards.describe(out, name) for name in names]
        manifest = _manifest(config, tokenizer, key, sources, chosen, described)
        write_text(out / shards.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(work)
    return manifest | {"made": True}


def _pieces(
    config: Config,
    tokenizer: Tokenizer,
    sources: Sequence[Source],
    progress: Callable[[str, int], None],
) -> list[Path]:
    if not config.cluster:
        workers = config.workers or cpu.available()
        return make_all(
            sources, config.tokenizer, _making(config), workers=workers, progress=progress
        )
    folder = (
        Path(config.out) / "work" / "tokenizer"
    )  # a hub name or a relative path means nothing elsewhere
    tokenizer.save(folder)
    return cluster.make_all(
        sources,
        folder,
        _making(config),
        address=config.cluster,
        workers=config.workers,
        versions=_versions(config),
        progress=progress,
    )


def _check(config: Config) -> None:
    if not config.files:
        raise ConfigError("files is empty: name at least one file of text")
    if Path(config.out).is_file():
        raise ConfigError(f"out = {config.out} is a file: give a folder")
    if config.cluster:
        require("ray", "ray")
    if config.near.use:
        require("rensa", "corpus")
        if config.near.permutations % config.near.bands:
            raise ConfigError(
                f"near.permutations = {config.near.permutations} cannot be cut into near.bands = {config.near.bands} "
                "bands of one width: choose a multiple"
            )


def _sources(config: Config, show: Callable[[str, int, int], None]) -> list[dict[str, Any]]:
    """What the manifest says about each source: name as given, bytes and checksum."""
    paths = [place(file) for file in config.files]
    for path in paths:
        if not path.is_file():
            raise DataError(f"no file at {path}: check the path")
        if not path.stat().st_size:
            raise DataError(f"{path} is empty: give a file with text")
    found = []
    for number, (name, path) in enumerate(zip(config.files, paths, strict=True)):
        show("checksums of the sources", number, len(paths))
        found.append({"name": name, "bytes": path.stat().st_size, "sha256": shards.checksum(path)})
    return found


def place(name: str) -> Path:
    """The file of a name: a path, or one below DESTILA_DATA."""
    data = os.environ.get("DESTILA_DATA")
    path = Path(name)
    return (
        path
        if path.is_file() or not data or not (Path(data) / name).is_file()
        else Path(data) / name
    )


def _making(config: Config) -> ChunkOptions:
    return ChunkOptions(**{name: getattr(config, name) for name in ChunkOptions.model_fields})


def _versions(config: Config) -> dict[str, str]:
    """Versions of the libraries whose results are in the corpus."""
    return {name: version(name) for name in ("tokenizers", *(["rensa"] if config.near.use else []))}


def _key(config: Config, tokenizer: Tokenizer, sources: Sequence[dict[str, Any]]) -> str:
    options, sums = (
        config.model_dump(mode="json", exclude=_PLACES),
        [source["sha256"] for source in sources],
    )
    return fingerprint(shards.FORMAT, options, tokenizer.fingerprint, sums, _versions(config))


def _source(config: Config, tokenizer: Tokenizer, source: dict[str, Any], work: Path) -> Source:
    """A source and the folder of its pieces, named after all that they depend on: one repaired file is one made anew."""
    options = [
        config.column,
        config.piece_characters,
        config.document_characters,
        Path(source["name"]).suffixes,
    ]
    name = fingerprint(
        shards.FORMAT,
        _making(config),
        tokenizer.fingerprint,
        source["sha256"],
        options,
        _versions(config),
    )
    return Source(
        place(source["name"]),
        work / name,
        config.column,
        config.piece_characters,
        config.document_characters,
    )


def _refuse_nothing(config: Config, chosen: Chosen) -> None:
    if chosen.kept.any():
        return
    if not chosen.counts["documents"]:
        raise DataError(f"{', '.join(config.files)} hold no text: every line is blank")
    reasons = ", ".join(
        f"{chosen.counts[reason]} {reason}" for reason in REASONS if chosen.counts[reason]
    )
    raise DataError(
        f"no document of {chosen.counts['documents']} is left ({reasons}): see [filters]"
    )


def _forget_others(out: Path, work: Path, key: str) -> None:
    """Deletes shards that an earlier run with other options left when it was killed."""
    marker = work / "shards.key"
    if not marker.is_file() or marker.read_text(encoding="utf-8") != key:
        for path in out.iterdir():
            if _SHARD.fullmatch(path.name):
                path.unlink()
        write_text(marker, key)


def _manifest(
    config: Config,
    tokenizer: Tokenizer,
    key: str,
    sources: list[dict[str, Any]],
    chosen: Chosen,
    described: list[dict[str, Any]],
) -> dict[str, Any]:
    sums = {
        f"kept_{part}": sum(shard[part] for shard in described)
        for part in ("documents", "sentences", "tokens")
    }
    return {
        "format": shards.FORMAT,
        "fingerprint": key,
        "sources": sources,
        "counts": chosen.counts | sums,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "vocab_size": tokenizer.vocab_size},
        "dtype": dtype_of(tokenizer).name,
        "versions": _versions(config),
        "options": config.model_dump(mode="json", exclude=_PLACES),
        "shards": described,
    }


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DataError(
            f"{out} cannot be written ({error.strerror}): free space and start again; finished parts are kept"
        ) from error
