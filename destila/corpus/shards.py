"""A corpus on disk: shards of tokens, sentences and documents, vouched for by a manifest.

A shard is three arrays of numpy:

    NUMBER.tokens.npy       u16 or u32 [T]
    NUMBER.sentences.npy    i64 [S + 1], where each sentence starts in the tokens, and the end
    NUMBER.documents.npy    i64 [D + 1], where each document starts in the sentences, and the end

Consecutive sentences of a document are one slice of the tokens. Arrays are memory-mapped when read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from destila.corpus.chunks import offsets
from destila.errors import DataError, TokenizerError
from destila.files import replacing
from destila.reading.blame import Blaming
from destila.reading.shapes import BesideName, Keyed, Needed, Whole, check_shape
from destila.reading.values import read_json_object
from destila.tokenizer.tokenizer import Tokenizer

MANIFEST = "manifest.json"
SHARD_FORMAT = 1
_SIZES = {name: Needed(Whole(0, 1 << 62)) for name in ("documents", "sentences", "tokens")}
_MANIFEST_FILE = {
    "fingerprint": Needed(str),
    "tokenizer": Needed({"fingerprint": Needed(str), "vocab_size": Needed(Whole())}),
    "counts": Needed({}),
    "shards": Needed([{"name": Needed(BesideName), "sha256": Needed(Keyed(str)), **_SIZES}]),
}
_PARTS = ("documents", "sentences", "tokens")  # tokens last: a shard with them is complete


@dataclass(frozen=True, slots=True)
class Document:
    """The tokens of a document, u16 or u32 [T], and where its sentences start, i64 [S + 1].

    Sentence i is `tokens[sentences[i]:sentences[i + 1]]`.
    """

    tokens: np.ndarray
    sentences: np.ndarray


class Shards(Sequence[Document]):
    """The documents of a corpus in order; made by `open_shards`.

    manifest: content of the manifest.
    arrays: documents, sentences and tokens of every shard, mapped.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.arrays = [_mapped(folder, shard["name"]) for shard in manifest["shards"]]
        sizes = [len(documents) - 1 for documents, _, _ in self.arrays]
        self._firsts = offsets(np.array(sizes, np.int64))

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, number: int) -> Document:  # type: ignore[override]
        """Return a document as views of the mapped arrays; raise IndexError outside the corpus."""
        if not 0 <= number < len(self):
            raise IndexError(f"document {number} of {len(self)}")

        shard = int(np.searchsorted(self._firsts, number, "right")) - 1
        documents, sentences, tokens = self.arrays[shard]
        row = number - int(self._firsts[shard])
        bounds = sentences[documents[row] : documents[row + 1] + 1]
        return Document(tokens[bounds[0] : bounds[-1]], np.asarray(bounds - bounds[0]))


def open_shards(
    folder: Path | str, tokenizer: Tokenizer | None = None, *, verify: bool = True
) -> Shards:
    """Open the corpus in a folder.

    Args:
        folder: where `destila corpus` wrote it.
        tokenizer: the one that its tokens are to be read with; None does not check.
        verify: read every shard once and compare its checksum.

    Raises:
        DataError: the folder has no corpus, or a damaged one.
        TokenizerError: the corpus was made with another tokenizer.

    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(
            f"{folder} has no {MANIFEST}: make the corpus with 'destila corpus', or let it go on "
            "to its end"
        )

    made = manifest["tokenizer"]
    if tokenizer is not None and tokenizer.fingerprint != made["fingerprint"]:
        raise TokenizerError(
            f"{folder} was made with tokenizer {made['fingerprint']} ({made['vocab_size']} "
            f"pieces), but {tokenizer.source} is {tokenizer.fingerprint}: use that one, or make "
            "the corpus again"
        )

    for shard in manifest["shards"]:
        _check_shard(folder, shard, verify=verify)
    return Shards(folder, manifest)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a folder, None without one; raise DataError when it is none of ours."""
    path = folder / MANIFEST
    if not path.is_file():
        return None

    remedy = f"delete {folder} and make the corpus again"
    manifest = read_json_object(path, DataError, remedy=remedy)
    if manifest.get("format") != SHARD_FORMAT:
        raise DataError(
            f"{path} is no manifest of a corpus in format {SHARD_FORMAT}: give another folder"
        )
    check_shape(manifest, _MANIFEST_FILE, str(path), DataError, remedy=remedy)
    return manifest


def write_shard(
    folder: Path, name: str, tokens: np.ndarray, sentences: np.ndarray, documents: np.ndarray
) -> None:
    """Write a shard.

    Args:
        folder: of the corpus.
        name: of the shard.
        tokens: u16 or u32 [T].
        sentences: u32 [S], tokens of each sentence.
        documents: u32 [D], sentences of each document.

    """
    arrays = {"documents": offsets(documents), "sentences": offsets(sentences), "tokens": tokens}
    for part in _PARTS:
        with replacing(_path(folder, name, part)) as temporary, temporary.open("wb") as file:
            _save(file, arrays[part])


def is_complete(folder: Path, name: str) -> bool:
    """Tell whether a shard of that name has been written to its end."""
    return all(_path(folder, name, part).is_file() for part in _PARTS)


def describe_shard(folder: Path, name: str) -> dict[str, Any]:
    """Make the manifest's entry of a shard on disk: its name, sizes and checksums."""
    documents, sentences, tokens = _mapped(folder, name)
    return {
        "name": name,
        "documents": len(documents) - 1,
        "sentences": len(sentences) - 1,
        "tokens": len(tokens),
        "sha256": {part: checksum(_path(folder, name, part)) for part in _PARTS},
    }


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_shard(folder: Path, shard: dict[str, Any], *, verify: bool) -> None:
    """Raise DataError when a file of a shard is missing or not what the manifest says."""
    for part in _PARTS:
        path = _path(folder, shard["name"], part)
        if not path.is_file():
            raise DataError(
                f"{path} is missing: delete {folder / MANIFEST} and run 'destila corpus' again"
            )
        if verify and checksum(path) != shard["sha256"][part]:
            raise DataError(
                f"{path} is damaged, its checksum differs from the manifest's: delete {folder} and "
                "make it again"
            )


def _mapped(folder: Path, name: str) -> list[np.ndarray]:
    """Map the documents, sentences and tokens of a shard into memory."""
    paths = [_path(folder, name, part) for part in _PARTS]
    remedy = f"delete {folder} and make the corpus again"
    with Blaming(DataError, f"shard {name} in {folder} is damaged", remedy=remedy):
        arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
    for array, path in zip(arrays, paths, strict=True):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"{path} holds no row of whole numbers: {remedy}")
    return arrays


def _path(folder: Path, name: str, part: str) -> Path:
    return folder / f"{name}.{part}.npy"


def _save(file: IO[bytes], array: np.ndarray) -> None:
    """Write what `np.save` does, by the file's own `write`: it says why it failed (a full disk)."""
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    file.write(np.ascontiguousarray(array).data)
