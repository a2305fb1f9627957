"""One stretch of documents -> tokens, lengths and fingerprints: the part of making a corpus that runs on every core.

A piece depends on its documents and the options alone, so pieces can be made anywhere, in any order, and once. Nothing
is compared with other pieces here: that is `similar`, over the columns `exact` and `signature`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from destila.config import Options, opt
from destila.corpus.clean import Clean
from destila.corpus.clean import clean as cleaned_lines
from destila.corpus.filters import REASONS, Filters, reason
from destila.corpus.sentences import split as split_sentences
from destila.errors import require
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_cache import WordCache

Piece = dict[str, np.ndarray]
STEPS = (
    "documents",
    "lines",
    "characters",
    "lines_emptied",
    *REASONS,
    "kept_characters",
    "unknown_tokens",
)
_SEED = 42


class MinHash(Options):
    """MinHash signatures: how alike two documents must be for the later one to go."""

    use: bool = opt(True, "drop near-duplicates")
    threshold: float = opt(
        0.8, "least Jaccard similarity of two documents' shingles, as estimated", gt=0, le=1
    )
    shingle: int = opt(8, "tokens in a row that make one shingle", ge=1)
    permutations: int = opt(128, "numbers in a signature", ge=8)
    bands: int = opt(16, "bands of a signature; documents equal in one are compared", ge=1)


class ChunkOptions(Options):
    """Everything that the content of a piece depends on beside its documents and the tokenizer."""

    clean: Clean = Clean()
    filters: Filters = Filters()
    near: MinHash = MinHash()
    split: bool = opt(
        True, "split lines into sentences; false: every line is one, as in the published corpus"
    )


def make(
    documents: Sequence[list[str]],
    tokenizer: Tokenizer,
    making: ChunkOptions,
    words: WordCache | None = None,
) -> Piece:
    """The arrays of the documents that stay.

    words: what is known already of the tokenizer's words; None: nothing.
    tokens u16|u32 [T]; sentences u32 [S], tokens of each; documents u32 [D], sentences of each; lengths u32 [D], tokens
    of each; exact u64 [D], hash of the cleaned text; signature u32 [D, P], P = 0 without near-duplicate removal;
    counts i64, by `STEPS`.
    """
    counts: Counter[str] = Counter()
    kept: list[list[str]] = []
    hashes: list[bytes] = []
    for lines in documents:
        counts.update(documents=1, lines=len(lines), characters=sum(map(len, lines)))
        cleaned = cleaned_lines(lines, making.clean)
        counts["lines_emptied"] += len(lines) - len(cleaned)
        why = reason(cleaned, making.filters)
        if why is not None:
            counts[why] += 1
            continue
        counts["kept_characters"] += sum(map(len, cleaned))
        hashes.append(
            hashlib.blake2b("\n".join(cleaned).encode("utf-8", "replace"), digest_size=8).digest()
        )
        kept.append(
            [s for line in cleaned for s in split_sentences(line)] if making.split else cleaned
        )
    encoded = (words or WordCache(tokenizer)).ids(list(chain.from_iterable(kept)))
    per_sentence = np.fromiter(map(len, encoded), np.uint32, len(encoded))
    tokens = np.fromiter(chain.from_iterable(encoded), dtype_of(tokenizer), int(per_sentence.sum()))
    counts["unknown_tokens"] = int((tokens == tokenizer.unk_id).sum())
    per_document = np.fromiter(map(len, kept), np.uint32, len(kept))
    lengths = np.diff(offsets(per_sentence)[offsets(per_document)]).astype(np.uint32)
    return {
        "tokens": tokens,
        "sentences": per_sentence,
        "documents": per_document,
        "lengths": lengths,
        "exact": np.frombuffer(b"".join(hashes), "<u8"),
        "signature": signatures(tokens, lengths, making.near),
        "counts": np.array([counts[step] for step in STEPS], np.int64),
    }


def dtype_of(tokenizer: Tokenizer) -> np.dtype:
    """uint16 where every id fits, else uint32."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Where each of N lengths starts and the last one ends: i64 [N + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def signatures(tokens: np.ndarray, lengths: np.ndarray, near: MinHash) -> np.ndarray:
    """MinHash signatures u32 [D, P] of documents whose tokens [T] follow each other; [D, 0] when switched off.

    A shingle is `near.shingle` tokens in a row; a document shorter than that has one, all of it.
    """
    if not near.use or not len(lengths):
        return np.zeros((len(lengths), 0), np.uint32)
    rolled = np.zeros(len(tokens), np.uint64)
    for ahead in range(
        min(near.shingle, len(tokens))
    ):  # a shingle that would cross the end of a document is not used below
        rolled[: len(tokens) - ahead] = _mixed(
            rolled[: len(tokens) - ahead] + tokens[ahead:] + np.uint64(1)
        )
    ends = offsets(lengths)
    counts = np.maximum(lengths.astype(np.int64) - near.shingle + 1, 1)
    used = offsets(counts)
    at = np.arange(used[-1]) + np.repeat(ends[:-1] - used[:-1], counts)
    flat = rolled[at]
    for document in np.flatnonzero(lengths < near.shingle):  # its window ran into the next document
        flat[used[document]] = np.uint64(hash_of(tokens[ends[document] : ends[document + 1]]))
    digests = require("rensa", "corpus").RMinHash.digest_matrix_from_flat_token_hashes(
        flat, used.astype(np.uint64), near.permutations, _SEED
    )
    return np.array(digests.to_rows(), np.uint32)


def hash_of(array: np.ndarray) -> int:
    """64 bits that name the content of an array."""
    return int.from_bytes(
        hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).digest(), "little"
    )


def _mixed(values: np.ndarray) -> np.ndarray:
    """Each u64 scattered over all 64 bits (splitmix64's multipliers); overflow is meant."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
