"""A corpus on disk, made for a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from destila.corpus import shards
from destila.tokenizer.word_marks import marks


@pytest.fixture
def make(tmp_path, bpe) -> Callable[..., shards.Shards]:
    """A corpus of documents, each a list of sizes of sentences, in shards; their tokens are random."""
    ordinary = marks(bpe).ordinary

    def corpus(name: str, documents: list[list[int]], *, seed: int = 0, per_shard: int = 1000) -> shards.Shards:
        folder: Path = tmp_path / name
        folder.mkdir()
        random = np.random.default_rng(seed)
        names = []
        for at in range(0, max(1, len(documents)), per_shard):
            part = documents[at : at + per_shard]
            sizes = np.array([size for document in part for size in document], np.int64)
            tokens = random.choice(ordinary, int(sizes.sum())).astype(np.uint16)
            names.append(f"{at:05d}")
            shards.write(folder, names[-1], tokens, sizes, np.array(list(map(len, part)), np.int64))
        manifest = {
            "format": shards.FORMAT,
            "tokenizer": {"fingerprint": bpe.fingerprint, "vocab_size": bpe.vocab_size},
            "shards": [shards.describe(folder, name) for name in names],
        }
        (folder / shards.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        return shards.open_shards(folder, bpe)

    return corpus
