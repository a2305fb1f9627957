"""One chunk of documents -> tokens, lengths and fingerprints, which every core can make.

A chunk depends on its documents and the options alone, so chunks can be made anywhere, in any
order, and once. Nothing is compared with other chunks here: that is `dedup`, over the columns
`exact` and `signature`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from destila.config import Options, opt
from destila.corpus.clean import Clean, clean_lines
from destila.corpus.filters import REASONS, Filters, reason_to_drop
from destila.errors import require
from destila.tokenizer.split_sentences import split_sentences
from destila.tokenizer.tokenizer import Tokenizer
from destila.tokenizer.word_cache import WordCache

Chunk = dict[str, np.ndarray]
"""The arrays of a chunk by name; `make_chunk` lists them."""

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
    """Everything that the content of a chunk depends on beside its documents and the tokenizer."""

    clean: Clean = Clean()
    filters: Filters = Filters()
    near: MinHash = MinHash()
    split: bool = opt(
        True, "split lines into sentences; false: every line is one, as in the published corpus"
    )


def make_chunk(
    documents: Sequence[list[str]],
    tokenizer: Tokenizer,
    options: ChunkOptions,
    words: WordCache | None = None,
) -> Chunk:
    """Clean, filter, split and encode documents; return the arrays of the D that stay.

    Args:
        documents: the lines of each document.
        tokenizer: what encodes them.
        options: how they are cleaned, filtered, split and hashed.
        words: the words of the tokenizer that are known already; None starts with none.

    Returns:
        tokens: u16 or u32 [T], of all sentences in a row.
        sentences: u32 [S], tokens of each sentence.
        documents: u32 [D], sentences of each document.
        lengths: u32 [D], tokens of each document.
        exact: u64 [D], hash of the cleaned text.
        signature: u32 [D, P]; P = 0 where near-duplicates stay.
        counts: i64, one number for each of `STEPS`.

    """
    kept = _keep(documents, options)

    # Sentences are encoded in one call; their tokens lie in a row, with the lengths beside them.
    words = words or WordCache(tokenizer)
    encoded = words.ids(list(chain.from_iterable(kept.sentences)))
    per_sentence = np.fromiter(map(len, encoded), np.uint32, len(encoded))  # [S]
    total = int(per_sentence.sum())
    tokens = np.fromiter(chain.from_iterable(encoded), dtype_of(tokenizer), total)  # [T]
    kept.counts["unknown_tokens"] = int((tokens == tokenizer.unk_id).sum())

    # A document's tokens are those from its first sentence to the next document's.
    per_document = np.fromiter(map(len, kept.sentences), np.uint32, len(kept.sentences))  # [D]
    bounds = offsets(per_sentence)[offsets(per_document)]  # [D + 1], in tokens
    lengths = np.diff(bounds).astype(np.uint32)  # [D]

    return {
        "tokens": tokens,
        "sentences": per_sentence,
        "documents": per_document,
        "lengths": lengths,
        "exact": np.frombuffer(b"".join(kept.hashes), "<u8"),
        "signature": signatures(tokens, lengths, options.near),
        "counts": np.array([kept.counts[step] for step in STEPS], np.int64),
    }


@dataclass(frozen=True, slots=True)
class _Kept:
    """The documents that stay: sentences and hash of the text of each; counts of all, by step."""

    sentences: list[list[str]]
    hashes: list[bytes]
    counts: Counter[str]


def _keep(documents: Sequence[list[str]], options: ChunkOptions) -> _Kept:
    """Clean and filter documents, and split those that stay into sentences."""
    kept = _Kept([], [], Counter())
    for lines in documents:
        kept.counts.update(documents=1, lines=len(lines), characters=sum(map(len, lines)))

        # Filters see what cleaning left.
        cleaned = clean_lines(lines, options.clean)
        kept.counts["lines_emptied"] += len(lines) - len(cleaned)
        reason = reason_to_drop(cleaned, options.filters)
        if reason is not None:
            kept.counts[reason] += 1
            continue

        kept.counts["kept_characters"] += sum(map(len, cleaned))
        text = "\n".join(cleaned).encode("utf-8", "replace")
        kept.hashes.append(hashlib.blake2b(text, digest_size=8).digest())
        if options.split:
            cleaned = list(chain.from_iterable(map(split_sentences, cleaned)))
        kept.sentences.append(cleaned)
    return kept


def dtype_of(tokenizer: Tokenizer) -> np.dtype:
    """Return uint16 where every id fits, else uint32."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Return where each of N lengths starts and where the last one ends: i64 [N + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def consecutive(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Count from each start on, as many numbers as its size, all one after the other.

    Starts 5 and 20 with sizes 3 and 2 give 5, 6, 7, 20, 21.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    numbers: np.ndarray = np.arange(total) + np.repeat(starts - ends + sizes, sizes)
    return numbers


def signatures(tokens: np.ndarray, lengths: np.ndarray, near: MinHash) -> np.ndarray:
    """Compute the MinHash signatures u32 [D, P] of documents; [D, 0] when switched off.

    A shingle is `near.shingle` tokens in a row; a document shorter than that has one, all of it.

    Args:
        tokens: [T], of all documents in a row.
        lengths: u32 [D], tokens of each document.
        near: length of a shingle and of a signature.

    """
    if not near.use or not len(lengths):
        return np.zeros((len(lengths), 0), np.uint32)

    # The hash of the shingle that starts at each token. Those that cross the end of a document are
    # not used below.
    hashes = np.zeros(len(tokens), np.uint64)  # [T]
    for ahead in range(min(near.shingle, len(tokens))):
        room = len(tokens) - ahead
        hashes[:room] = _mix_bits(hashes[:room] + tokens[ahead:] + np.uint64(1))

    # The places of each document's shingles: as many as fit, at least one.
    starts = offsets(lengths)  # [D + 1], in tokens
    counts = np.maximum(lengths.astype(np.int64) - near.shingle + 1, 1)  # [D]
    bounds = offsets(counts)  # [D + 1], in shingles
    places = np.arange(bounds[-1]) + np.repeat(starts[:-1] - bounds[:-1], counts)  # [N]
    shingles = hashes[places]  # [N]

    # The shingle of a document that is too short ran into the next one.
    for document in np.flatnonzero(lengths < near.shingle):
        own = tokens[starts[document] : starts[document + 1]]
        shingles[bounds[document]] = np.uint64(_hash(own))

    minhash = require("rensa", "corpus").RMinHash
    digests = minhash.digest_matrix_from_flat_token_hashes(
        shingles, bounds.astype(np.uint64), near.permutations, _SEED
    )
    return np.array(digests.to_rows(), np.uint32)  # [D, P]


def _hash(array: np.ndarray) -> int:
    """Return 64 bits that name the content of an array."""
    content = np.ascontiguousarray(array).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _mix_bits(values: np.ndarray) -> np.ndarray:
    """Scatter each u64 over all 64 bits (splitmix64's multipliers); overflow is meant."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
