"""A corpus on disk: shards of tokens with the bounds of sentences and documents, and a manifest that vouches for them.

A shard is three arrays of numpy: `NUMBER.tokens.npy` u16 or u32 [T], `NUMBER.sentences.npy` i64 [S + 1] (where each
sentence starts in the tokens) and `NUMBER.documents.npy` i64 [D + 1] (where each document starts in the sentences).
Consecutive sentences of a document are one slice of the tokens. Arrays are memory-mapped when read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from destila.corpus.chunks import offsets
from destila.errors import DataError, TokenizerError
from destila.files import write_with
from destila.tokenizer.tokenizer import Tokenizer

MANIFEST = "manifest.json"
FORMAT = 1
_PARTS = ("documents", "sentences", "tokens")  # tokens last: a shard with them is complete


@dataclass(frozen=True, slots=True)
class Document:
    """tokens u16|u32 [T]; sentences i64 [S + 1], where each starts: sentence i is tokens[sentences[i]:sentences[i+1]]."""

    tokens: np.ndarray
    sentences: np.ndarray


class Shards(Sequence[Document]):
    """The documents of a corpus in order; made by `open_shards`.

    manifest: what the manifest says. arrays: documents, sentences and tokens of every shard, mapped.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        names = [shard["name"] for shard in manifest["shards"]]
        self.arrays = [
            [np.load(_path(folder, name, part), mmap_mode="r") for part in _PARTS] for name in names
        ]
        self._firsts = offsets(
            np.array([len(documents) - 1 for documents, _, _ in self.arrays], np.int64)
        )

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, at: int) -> Document:  # type: ignore[override]
        """Document `at`, as views of the mapped arrays; raises IndexError."""
        if not 0 <= at < len(self):
            raise IndexError(f"document {at} of {len(self)}")
        shard = int(np.searchsorted(self._firsts, at, "right")) - 1
        documents, sentences, tokens = self.arrays[shard]
        own = at - int(self._firsts[shard])
        bounds = sentences[documents[own] : documents[own + 1] + 1]
        return Document(tokens[bounds[0] : bounds[-1]], np.asarray(bounds - bounds[0]))


def open_shards(
    folder: Path | str, tokenizer: Tokenizer | None = None, *, verify: bool = True
) -> Shards:
    """The corpus in a folder.

    tokenizer: the one that its tokens are to be read with; None: not checked. verify: read every shard once and compare
    its checksum. Raises DataError for a folder without a corpus or with a damaged one, TokenizerError for another
    tokenizer than the one it was made with.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(
            f"{folder} has no {MANIFEST}: make the corpus with 'destila corpus', or let it go on to its end"
        )
    made = manifest["tokenizer"]
    if tokenizer is not None and tokenizer.fingerprint != made["fingerprint"]:
        raise TokenizerError(
            f"{folder} was made with tokenizer {made['fingerprint']} ({made['vocab_size']} pieces), but "
            f"{tokenizer.source} is {tokenizer.fingerprint}: use that one, or make the corpus again"
        )
    for shard in manifest["shards"]:
        for part in _PARTS:
            path = _path(folder, shard["name"], part)
            if not path.is_file():
                raise DataError(
                    f"{path} is missing: delete {folder / MANIFEST} and run 'destila corpus' again"
                )
            if verify and checksum(path) != shard["sha256"][part]:
                raise DataError(
                    f"{path} is damaged, its checksum differs from the manifest's: delete {folder} and make it again"
                )
    return Shards(folder, manifest)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the manifest in a folder says; None without one. Raises DataError when it is no manifest of ours."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not valid JSON: {error}. Delete {folder} and make the corpus again"
        ) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(
            f"{path} is no manifest of a corpus in format {FORMAT}: give another folder"
        )
    return found


def write(
    folder: Path, name: str, tokens: np.ndarray, sentences: np.ndarray, documents: np.ndarray
) -> None:
    """Nothing; writes a shard. sentences u32 [S]: tokens of each; documents u32 [D]: sentences of each."""
    arrays = {"documents": offsets(documents), "sentences": offsets(sentences), "tokens": tokens}
    for part in _PARTS:
        write_with(_path(folder, name, part), _saver(arrays[part]))


def is_complete(folder: Path, name: str) -> bool:
    """True when a shard of that name has been written to its end."""
    return all(_path(folder, name, part).is_file() for part in _PARTS)


def describe(folder: Path, name: str) -> dict[str, Any]:
    """The manifest's entry of a shard on disk: its name, sizes and checksums."""
    sizes = {part: len(np.load(_path(folder, name, part), mmap_mode="r")) for part in _PARTS}
    sizes = {part: size if part == "tokens" else size - 1 for part, size in sizes.items()}
    return {
        "name": name,
        **sizes,
        "sha256": {part: checksum(_path(folder, name, part)) for part in _PARTS},
    }


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(folder: Path, name: str, part: str) -> Path:
    return folder / f"{name}.{part}.npy"


def _saver(array: np.ndarray) -> Callable[[Any], None]:
    """What `np.save` writes, by the file's own `write`: numpy's loses the reason (a full disk) when it fails."""

    def save(file: Any) -> None:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)

    return save
