"""The feed of pre-training: every sentence in its turn, the same batch at the same cursor, nothing held out is seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from destila.text import shards
from destila.text.feed import Cursor, Feed, FeedOptions, Taken
from destila.text.starts import marks
from destila.types import IGNORE

Make = Callable[..., shards.Shards]
SMALL = {"stretch": 60, "block": 1000, "heldout": 0.0}
FIELDS = ("input_ids", "target", "type_ids", "positions", "pair", "order")


@pytest.fixture
def make(tmp_path, bpe) -> Make:
    """A corpus of documents, each a list of sizes of sentences, in shards; sentences are told apart by their tokens."""
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


def sizes(documents: int, *, sentences: int = 12, longest: int = 12, seed: int = 1) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(4, longest, random.integers(1, sentences)).tolist() for _ in range(documents)]


def original(taken: Taken) -> np.ndarray:
    return np.where(taken.target == IGNORE, taken.input_ids, taken.target)


def texts(taken: Taken, known) -> Counter[tuple[int, ...]]:
    """The text of every pair, halves in their order in the corpus."""
    ids = original(taken)
    found: Counter[tuple[int, ...]] = Counter()
    for row, numbers, types, order in zip(ids, taken.pair, taken.type_ids, taken.order, strict=True):
        for number in range(1, numbers.max() + 1):
            here = numbers == number
            halves = [row[here & (types == kind)] for kind in (0, 1)]
            label = int(order[here][0])
            whole = np.concatenate(halves[::-1] if label == 1 else halves)
            found[tuple(whole[~known.special[whole]].tolist())] += 1
    return found


def corpus_tokens(corpus: shards.Shards) -> Counter[int]:
    return Counter(token for document in corpus for token in document.tokens.tolist())


def stream(feed: Feed, batches: int, cursor: Cursor | None = None, **shape) -> tuple[list[Taken], list[Cursor]]:
    """Batches from a cursor on, and the cursor before each and behind the last."""
    cursors = [cursor or feed.start()]
    found = []
    for _ in range(batches):
        taken, cursor = feed.take(cursors[-1], **{"rows": 4, "length": 32, **shape})
        found.append(taken)
        cursors.append(cursor)
    return found, cursors


def equal(one: Taken, other: Taken) -> bool:
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FIELDS)
    return same and one.tokens == other.tokens


def test_an_epoch_holds_every_token_once(make, bpe):
    """Blocks of an epoch's size: what the first block packs is what the corpora hold."""
    corpora = [make("a", sizes(40), per_shard=15), make("b", sizes(25, seed=2), seed=3)]
    held = sum((corpus_tokens(corpus) for corpus in corpora), Counter())
    feed = Feed(corpora, bpe, FeedOptions(**{**SMALL, "block": held.total()}), seed=0)
    special = marks(bpe).special
    seen: dict[int, Counter[int]] = {}
    cursor = feed.start()
    while cursor.block < 3:
        taken, cursor = feed.take(cursor, rows=1, length=32)
        ids = original(taken)
        seen[cursor.block] = seen.get(cursor.block, Counter()) + Counter(ids[~special[ids]].tolist())
    assert [seen[block] == held for block in range(3)] == [True] * 3


def test_the_same_cursor_gives_the_same_batch_whenever_and_wherever(make, bpe):
    corpora = [make("a", sizes(30)), make("b", sizes(20, seed=2), seed=3)]
    options = FeedOptions(**SMALL)
    found, cursors = stream(Feed(corpora, bpe, options, seed=5), 60)
    assert cursors[-1].block >= 3
    again = Feed(corpora, bpe, options, seed=5)
    for at in np.random.default_rng(0).permutation(60):
        restored = Cursor(**json.loads(json.dumps(asdict(cursors[at]))))
        assert restored == cursors[at]
        taken, behind = again.take(restored, rows=4, length=32)
        assert equal(taken, found[at])
        assert behind == cursors[at + 1]


def test_another_seed_gives_another_stream(make, bpe):
    corpora = [make("a", sizes(30))]
    one, _ = stream(Feed(corpora, bpe, FeedOptions(**SMALL), seed=1), 1)
    other, _ = stream(Feed(corpora, bpe, FeedOptions(**SMALL), seed=2), 1)
    assert not np.array_equal(original(one[0]), original(other[0]))
