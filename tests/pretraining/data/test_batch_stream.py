"""The feed of pre-training: every sentence in its turn, the same batch at the same cursor, nothing held out is seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pytest

from destila import config
from destila.corpus import shards
from destila.errors import ConfigError, DataError
from destila.pretraining.data.batch_stream import BatchStream, Cursor, FeedOptions, MaskedRows
from destila.tokenizer.word_marks import read_word_marks
from destila.types import IGNORE

FIELDS = ("input_ids", "target", "type_ids", "positions", "pair", "order")
PIECES = {"words": "piece", "ngram": 1}


def options(**more) -> FeedOptions:
    return config.build_config(FeedOptions, {"stretch": 60, "block": 1000, "heldout": 0.0, **more})


def sizes(
    documents: int, *, sentences: int = 12, longest: int = 12, seed: int = 1
) -> list[list[int]]:
    """Documents as sizes of sentences, of at least 4 tokens."""
    random = np.random.default_rng(seed)
    return [
        random.integers(4, longest, random.integers(1, sentences)).tolist()
        for _ in range(documents)
    ]


def original(taken: MaskedRows) -> np.ndarray:
    return np.where(taken.target == IGNORE, taken.input_ids, taken.target)


def words(taken: MaskedRows, special: np.ndarray) -> Counter[int]:
    ids = original(taken)
    return Counter(ids[~special[ids]].tolist())


def corpus_words(corpora: Iterable[shards.Shards]) -> Counter[int]:
    return Counter(
        token for corpus in corpora for document in corpus for token in document.tokens.tolist()
    )


def grams(taken: MaskedRows, special: np.ndarray) -> set[tuple[int, ...]]:
    """Four tokens of text in a row: with 400 pieces at random, none comes twice in a corpus of these sizes."""
    ids = original(taken)
    found = np.lib.stride_tricks.sliding_window_view(ids, 4, axis=1).reshape(-1, 4)
    return set(map(tuple, found[~special[found].any(axis=1)].tolist()))


def stream(
    feed: BatchStream, batches: int, cursor: Cursor | None = None, **shape
) -> tuple[list[MaskedRows], list[Cursor]]:
    """Batches from a cursor on, and the cursor before each and behind the last."""
    cursors, found = [cursor or feed.start()], []
    for _ in range(batches):
        taken, cursor = feed.take(cursors[-1], **{"rows": 4, "length": 32, **shape})
        found.append(taken)
        cursors.append(cursor)
    return found, cursors


def epoch(feed: BatchStream, **shape) -> list[MaskedRows]:
    """All batches of the first block."""
    found, cursors = stream(feed, 1, **shape)
    while True:
        taken, cursor = feed.take(cursors[-1], **{"rows": 4, "length": 32, **shape})
        if cursor.block:
            return found
        found.append(taken)
        cursors.append(cursor)


def equal(one: MaskedRows, other: MaskedRows) -> bool:
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FIELDS)
    return same and one.tokens == other.tokens


def test_an_epoch_holds_every_token_once(make, bpe):
    """Blocks of an epoch's size: what each packs is what the corpora hold."""
    corpora = [make("a", sizes(40), per_shard=15), make("b", sizes(25, seed=2), seed=3)]
    held = corpus_words(corpora)
    feed, special = (
        BatchStream(corpora, bpe, options(block=held.total()), seed=0),
        read_word_marks(bpe).special,
    )
    seen: dict[int, Counter[int]] = {}
    cursor = feed.start()
    while cursor.block < 3:
        taken, cursor = feed.take(cursor, rows=1, length=32)
        seen[cursor.block] = seen.get(cursor.block, Counter()) + words(taken, special)
    assert [seen[block] == held for block in range(3)] == [True] * 3
    assert feed.epochs(cursor) == (3, 3)


def test_every_batch_has_the_rows_asked_for_and_true_counts(make, bpe):
    found, cursors = stream(BatchStream([make("a", sizes(30))], bpe, options(), seed=0), 40, rows=7)
    assert cursors[-1].block >= 5
    assert {taken.input_ids.shape for taken in found} == {(7, 32)}
    assert all(taken.tokens == (taken.pair > 0).sum() for taken in found)
    assert all(getattr(found[0], name).dtype == np.int32 for name in FIELDS)


def test_same_cursor_same_batch(make, bpe):
    """The same cursor gives the same batch whenever and wherever."""
    corpora = [make("a", sizes(30)), make("b", sizes(20, seed=2), seed=3)]
    found, cursors = stream(BatchStream(corpora, bpe, options(), seed=5), 60)
    assert cursors[-1].block >= 5
    again = BatchStream(corpora, bpe, options(), seed=5)
    for at in np.random.default_rng(0).permutation(60):
        restored = Cursor(**json.loads(json.dumps(asdict(cursors[at]))))
        assert restored == cursors[at]
        taken, behind = again.take(restored, rows=4, length=32)
        assert equal(taken, found[at])
        assert behind == cursors[at + 1]


def test_another_seed_gives_another_stream(make, bpe):
    corpus = make("a", sizes(30))
    one, other = (
        stream(BatchStream([corpus], bpe, options(), seed=seed), 1)[0][0] for seed in (1, 2)
    )
    assert not np.array_equal(original(one), original(other))


def test_rows_of_a_block_do_not_come_in_the_order_of_the_corpus(make, bpe):
    corpus = make("a", [[5] * 400])
    first = epoch(BatchStream([corpus], bpe, options(block=2000, stretch=2000), seed=0))
    held = corpus[0].tokens.tolist()
    place = {tuple(held[i : i + 4]): i for i in range(len(held))}
    special = read_word_marks(bpe).special
    rows = [min(place[g] for g in grams(taken, special) if g in place) for taken in first]
    assert rows != sorted(rows)


def test_text_that_is_read_again_is_masked_anew(make, bpe):
    corpus = make("a", [[20]])
    feed = BatchStream([corpus], bpe, options(block=20, masking=PIECES), seed=0)
    found, cursors = stream(feed, 30, rows=1)
    assert [cursor.block for cursor in cursors[1:]] == list(range(30))
    assert len({original(taken).tobytes() for taken in found}) == 1
    assert len({taken.target.tobytes() for taken in found}) > 20


def test_weights_are_shares_of_the_tokens_read(make, bpe):
    corpora = [make("large", sizes(300)), make("small", sizes(20, seed=2), seed=3)]
    totals = [sum(len(document.tokens) for document in corpus) for corpus in corpora]
    feed = BatchStream(corpora, bpe, options(weights=[1, 3]), seed=0)
    _, cursors = stream(feed, 100, rows=16)
    large, small = (
        read * total for read, total in zip(feed.epochs(cursors[-1]), totals, strict=True)
    )
    assert large + small > 40_000
    assert small / (large + small) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0], r"1 weights for 2 corpora"), ([1.0, 0.0], r"each must be above 0")],
)
def test_weights_that_do_not_fit_are_refused(make, bpe, weights, message):
    corpora = [make("a", sizes(3)), make("b", sizes(3))]
    with pytest.raises(ConfigError, match=message):
        BatchStream(corpora, bpe, options(weights=weights), seed=0)


def test_held_out_text_is_never_trained_on(make, bpe):
    """Held out text is never trained on and the same for every seed."""
    corpora = [make("a", sizes(60)), make("b", sizes(40, seed=2), seed=3)]
    special = read_word_marks(bpe).special
    block = corpus_words(corpora).total()
    held = [
        BatchStream(corpora, bpe, options(heldout=0.2), seed=s).heldout(length=32, tokens=block)
        for s in (0, 1)
    ]
    assert equal(*held)
    training = epoch(BatchStream(corpora, bpe, options(heldout=0.2, block=2 * block), seed=0))
    seen = set().union(*(grams(taken, special) for taken in training))
    kept = grams(held[0], special)
    assert len(kept) > 300
    assert len(seen) > 1000
    assert not kept & seen


def test_held_out_and_trained_text_are_the_corpus(make, bpe):
    corpora = [make("a", sizes(60)), make("b", sizes(40, seed=2), seed=3)]
    special, whole = read_word_marks(bpe).special, corpus_words(corpora)
    held = words(
        BatchStream(corpora, bpe, options(heldout=0.2), seed=0).heldout(length=32, tokens=10**6),
        special,
    )
    assert 0.1 < held.total() / whole.total() < 0.3
    feed = BatchStream(corpora, bpe, options(heldout=0.2, block=(whole - held).total()), seed=0)
    trained = sum((words(taken, special) for taken in epoch(feed, rows=1)), Counter())
    assert trained + held == whole


def test_as_much_is_held_out_as_asked_for(make, bpe):
    feed = BatchStream([make("a", sizes(200))], bpe, options(heldout=0.5), seed=0)
    some, more = (feed.heldout(length=32, tokens=tokens) for tokens in (300, 2000))
    special = read_word_marks(bpe).special
    assert 300 <= words(some, special).total() < 300 + 60 + 12
    assert 2000 <= words(more, special).total() < 2000 + 60 + 12
    chosen = (more.target != IGNORE).sum() / words(more, special).total()
    assert chosen == pytest.approx(0.15, abs=0.02)


def test_nothing_held_out_is_said(make, bpe):
    corpus = make("one", [[5] * 4])
    for share in (0.0, 0.1):
        with pytest.raises(
            DataError, match=r"nothing of .*one is held out for evaluation: set heldout above 0"
        ):
            BatchStream([corpus], bpe, options(heldout=share), seed=0).heldout(length=32, tokens=10)


def test_another_length_passes_over_the_rest_of_a_block_only(make, bpe):
    feed = BatchStream([make("a", sizes(100))], bpe, options(), seed=0)
    _, cursors = stream(feed, 2)
    assert cursors[-1].block == 0
    taken, behind = feed.take(cursors[-1], rows=4, length=64)
    assert taken.input_ids.shape == (4, 64)
    assert behind.block == 1
    fresh, _ = feed.take(Cursor(1, 0, behind.places, ()), rows=4, length=64)
    assert equal(taken, fresh)
    assert 0 < feed.epochs(behind)[0] < 1


def test_another_number_of_rows_loses_none(make, bpe):
    feed = BatchStream([make("a", sizes(100))], bpe, options(), seed=0)
    small, cursors = stream(feed, 21, rows=2)
    large, behind = stream(feed, 7, rows=6)
    assert behind[-1].block == cursors[-1].block > 0
    for name in FIELDS:
        one = np.concatenate([getattr(taken, name) for taken in small])
        assert np.array_equal(one, np.concatenate([getattr(taken, name) for taken in large]))


def test_a_stage_sets_its_rate_and_its_pairs(make, bpe):
    feed = BatchStream([make("a", sizes(400, sentences=20))], bpe, options(block=20_000), seed=0)
    special = read_word_marks(bpe).special
    for rate in (0.15, 0.4):
        found, _ = feed.take(feed.start(), rows=200, length=32, rate=rate)
        assert (found.target != IGNORE).sum() / words(found, special).total() == pytest.approx(
            rate, abs=0.01
        )
    many, _ = feed.take(feed.start(), rows=50, length=128, pair=20)
    few, _ = feed.take(feed.start(), rows=50, length=128)
    assert many.pair.max(axis=1).mean() > 1.5 * few.pair.max(axis=1).mean()


@pytest.mark.parametrize("documents", [[[4]], [[7, 5]], [[5] * 40], [[4], [6, 4], [9]]])
@pytest.mark.parametrize("form", ["pairs", "lines"])
def test_a_corpus_smaller_than_a_block_is_read_over_and_over(make, bpe, documents, form):
    if form == "lines":
        documents = [[size + 10 for size in document] for document in documents]
    corpus = make("tiny", documents)
    feed, special = (
        BatchStream([corpus], bpe, options(form=form), seed=0),
        read_word_marks(bpe).special,
    )
    found, cursors = stream(feed, 40)
    assert feed.epochs(cursors[-1])[0] > 1
    assert set(words(found[0], special)) <= set(corpus_words([corpus]))
    assert all(taken.tokens for taken in found)


@pytest.mark.parametrize("documents", [[], [[]]])
def test_an_empty_corpus_is_refused_by_name(make, bpe, documents):
    full, empty = make("full", [[5]]), make("empty", documents)
    with pytest.raises(DataError, match=r"empty holds no text"):
        BatchStream([full, empty], bpe, options(), seed=0)
    with pytest.raises(ConfigError, match="no corpus to read"):
        BatchStream([], bpe, options(), seed=0)


def test_an_impossible_length_is_refused(make, bpe):
    with pytest.raises(ConfigError, match="length"):
        stream(BatchStream([make("a", sizes(3))], bpe, options(), seed=0), 1, length=8)


def test_every_line_is_read_once_and_a_batch_has_one_bin(make, bpe):
    corpus = make("a", sizes(150, longest=60, seed=4))
    held = [
        tuple(d.tokens[a:b].tolist())
        for d in corpus
        for a, b in zip(d.sentences, d.sentences[1:], strict=False)
    ]
    total = sum(map(len, held))
    feed, special = (
        BatchStream([corpus], bpe, options(form="lines", block=total), seed=0),
        read_word_marks(bpe).special,
    )
    seen: Counter[tuple[int, ...]] = Counter()
    lengths = []
    for taken in epoch(feed, rows=8, length=64):
        assert len(taken.pair) == 8
        own = (taken.pair > 0).sum(axis=1)
        assert own.max() == taken.input_ids.shape[1]
        assert (taken.order == IGNORE).all()
        assert (taken.input_ids == bpe.pad_id).sum() == (taken.pair == 0).sum()
        lengths.append(own)
        ids = original(taken)
        assert ((ids == bpe.cls_id).sum(axis=1) == 1).all()
        seen.update(tuple(row[~special[row]].tolist()) for row in ids)
    left = Counter(line for line in held if len(line) + 2 >= 12) - seen
    assert left.total() < 8  # those that the next block completes to a batch
    assert not seen - Counter(held)
    assert all(np.ptp((own - 3) // 4) <= 1 for own in lengths)
    assert [own.max() for own in lengths] != sorted(own.max() for own in lengths)


def test_batches_of_lines_keep_whole_groups_across_blocks(make, bpe):
    """A batch of lines has all its rows and blocks go on with whole groups."""
    feed = BatchStream(
        [make("a", sizes(150, longest=60, seed=4))], bpe, options(form="lines"), seed=0
    )
    spread, mixed = [], 0
    for taken in stream(feed, 60, rows=16, length=64, together=4)[0]:
        assert len(taken.pair) == 16
        own = ((taken.pair > 0).sum(axis=1) - 3) // 4
        spread.append(np.ptp(own))
        mixed += sum(np.ptp(part) > 3 for part in own.reshape(4, 4))
    assert np.mean(spread) > 3, "micro-batches of one step differ in length"
    assert mixed < 30, "at most one of four lines, where a block ends"


def test_lines_can_be_taken_again_and_go_on_in_another_stage(make, bpe):
    corpus = make("a", sizes(150, longest=60, seed=4))
    found, cursors = stream(
        BatchStream([corpus], bpe, options(form="lines"), seed=0), 60, rows=8, length=64
    )
    assert cursors[-1].block >= 2
    again = BatchStream([corpus], bpe, options(form="lines"), seed=0)
    for at in (59, 3, 31):
        taken, behind = again.take(cursors[at], rows=8, length=64)
        assert equal(taken, found[at])
        assert behind == cursors[at + 1]
    at = next(i for i, cursor in enumerate(cursors) if cursor.row)
    _, behind = again.take(cursors[at], rows=4, length=32)
    assert behind.block == cursors[at].block + 1


def test_lines_held_out_come_by_length(make, bpe):
    feed = BatchStream(
        [make("a", sizes(150, longest=60))], bpe, options(form="lines", heldout=0.3), seed=0
    )
    held = feed.heldout(length=64, tokens=1000)
    lengths = (held.pair > 0).sum(axis=1).tolist()
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_a_corpus_without_a_line_is_refused(make, bpe):
    feed = BatchStream([make("short", [[4, 5, 9]] * 50)], bpe, options(form="lines"), seed=0)
    with pytest.raises(
        DataError, match=r"short has no line to read: all are shorter than 12 tokens"
    ):
        feed.take(feed.start(), rows=4, length=32)


def test_smoothing_chooses_rare_pieces_more_often(make, bpe):
    corpus = make("a", [[100] * 200])
    masking = {**PIECES, "smoothing": 0.7}
    feed = BatchStream([corpus], bpe, options(form="lines", masking=masking, block=20_000), seed=0)
    plain = BatchStream([corpus], bpe, options(form="lines", masking=PIECES, block=20_000), seed=0)
    counts = corpus_words([corpus])
    means = []
    for one in (feed, plain):
        taken, _ = one.take(one.start(), rows=200, length=102)
        chosen = taken.target[taken.target != IGNORE]
        means.append(np.mean([counts[piece] for piece in chosen.tolist()]))
    assert means[0] < means[1] - 0.5
    taken, _ = feed.take(feed.start(), rows=200, length=102)
    assert (taken.target != IGNORE).sum() == np.ceil(0.15 * taken.tokens)
    again, _ = BatchStream([corpus], bpe, feed.options, seed=0).take(
        feed.start(), rows=200, length=102
    )
    assert equal(taken, again)


def test_smoothing_across_blocks_is_over_the_whole_batch(make, bpe):
    feed = BatchStream(
        [make("a", sizes(100))], bpe, options(masking={**PIECES, "smoothing": 0.7}), seed=0
    )
    for taken in stream(feed, 12, rows=20)[0]:
        assert (taken.target != IGNORE).sum() == np.ceil(0.15 * taken.tokens)


@pytest.mark.parametrize(
    "more",
    [
        {"masking": {**PIECES, "smoothing": 0.7}},
        {"masking": {"rate": 0.4, "words": "published", "cap": 3}},
        {"packing": {"single": "other", "torn": True, "short": 0.5}},
    ],
)
def test_held_out_text_is_the_same_whatever_is_trained_with(make, bpe, more):
    corpus = make("a", sizes(100))
    held = [
        BatchStream([corpus], bpe, options(heldout=0.3, **o), seed=0).heldout(
            length=32, tokens=1000
        )
        for o in ({}, more)
    ]
    assert equal(*held)


@pytest.mark.parametrize(
    "feed",
    [{}, {"form": "lines"}, {"masking": {**PIECES, "smoothing": 0.7}}],
    ids=["pairs", "lines", "smoothing"],
)
def test_shares_of_processes_are_the_batch_of_one(make, bpe, feed):
    """Each process makes its own rows alone, and together they are what one process would read."""
    corpora = [make("a", sizes(150, longest=60, seed=4))]
    whole = BatchStream(corpora, bpe, options(**feed), seed=0)
    taken, cursors = stream(whole, 12, rows=7, length=64)
    for number in range(3):
        own = BatchStream(corpora, bpe, options(**feed), seed=0)
        for at, batch in enumerate(taken):
            rows, behind = own.take(cursors[at], rows=7, length=64, share=(number, 3))
            wanted = batch.part(number, 3)
            width = rows.pair.shape[1]  # lines are padded to the longest of a share
            for name in ("input_ids", "target", "type_ids", "positions", "pair", "order"):
                assert (getattr(rows, name) == getattr(wanted, name)[:, :width]).all()
            assert rows.tokens == wanted.tokens
            assert behind == cursors[at + 1]
