"""Vectors of pieces: those of like surroundings are alike, the rest of the table is left alone."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from destila.corpus import shards
from destila.errors import DataError
from destila.pretraining.data.word_vectors import Cbow, vectors

pytest.importorskip("gensim", reason="the extra 'pretrain' is not installed")

TWINS, OTHERS = (10, 11), (12, 13)  # in the same surroundings, in other ones
SMALL = Cbow(epochs=20, least=2, window=3, negative=5)
V, E = 64, 16


def corpus(folder, documents, dtype=np.uint16):
    """A corpus of documents of sentences of ids."""
    folder.mkdir()
    sentences = [s for document in documents for s in document]
    tokens = np.array([t for s in sentences for t in s], dtype)
    shards.write_shard(
        folder,
        "00000",
        tokens,
        np.array(list(map(len, sentences))),
        np.array(list(map(len, documents))),
    )
    manifest = {
        "format": shards.SHARD_FORMAT,
        "fingerprint": "toy",
        "counts": {},
        "tokenizer": {"fingerprint": "toy", "vocab_size": V},
        "shards": [shards.describe_shard(folder, "00000")],
    }
    (folder / shards.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return shards.open_shards(folder)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two corpora: twins among pieces 20-25, the others among 40-45, piece 60 once."""
    random = np.random.default_rng(0)

    def sentence(pair, start):
        around = random.integers(start, start + 6, 6)
        return [*around[:3].tolist(), int(random.choice(pair)), *around[3:].tolist()]

    def documents(count):
        return [[sentence(TWINS, 20), sentence(OTHERS, 40)] for _ in range(count)]

    root = tmp_path_factory.mktemp("corpora")
    return [corpus(root / "a", documents(300)), corpus(root / "b", [*documents(100), [[60, 20]]])]


@pytest.fixture(scope="module")
def initial():
    return np.random.default_rng(1).normal(0, 0.02, (V, E)).astype(np.float32)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_pieces_of_like_surroundings_are_alike(corpora, initial):
    table = vectors(corpora, initial, SMALL, seed=0)
    assert cosine(table[10], table[11]) > 0.9
    assert cosine(table[12], table[13]) > 0.9
    assert cosine(table[10], table[12]) < 0.5
    assert cosine(initial[10], initial[11]) < 0.5


def test_learnt_rows_get_the_spread_of_the_table(corpora, initial):
    """Learnt rows have the spread of the table and the rest stays."""
    table = vectors(corpora, initial, SMALL, seed=0)
    learnt = [*range(10, 14), *range(20, 26), *range(40, 46)]
    rest = [i for i in range(V) if i not in learnt]
    assert table.dtype == np.float32
    assert float(table[learnt].std()) == pytest.approx(float(initial.std()), rel=1e-5)
    assert (table[rest] == initial[rest]).all()  # 60 too: it occurs once
    assert not (table[learnt] == initial[learnt]).all(axis=1).any()


def test_equal_arguments_give_equal_tables(corpora, initial):
    one, same, other = (vectors(corpora, initial, SMALL, seed=seed) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


def test_several_workers_are_said_to_differ(corpora, initial, caplog):
    with caplog.at_level(logging.WARNING, logger="destila"):
        vectors(corpora, initial, SMALL.model_copy(update={"workers": 2}), seed=0)
    assert "differ a little from run to run" in caplog.text


def test_no_more_tokens_are_read_than_asked_for(corpora, initial):
    few = SMALL.model_copy(update={"tokens": 1400})
    table = vectors(corpora, initial, few, seed=0)
    assert (table != vectors(corpora, initial, SMALL, seed=0)).any()
    with pytest.raises(DataError, match=r"no piece of the .* tokens read occurs 2 times"):
        vectors(corpora, initial, SMALL.model_copy(update={"tokens": 1}), seed=0)


def test_a_corpus_of_another_vocabulary_is_refused(corpora, initial):
    with pytest.raises(DataError, match="has piece 60, the table 50 rows"):
        vectors(corpora, initial[:50], SMALL, seed=0)


def test_a_sentence_longer_than_gensim_reads_is_read_to_its_end(tmp_path, initial):
    long = [20, 21] * 6000 + [30, 31] * 50
    table = vectors(
        [corpus(tmp_path / "long", [[long]])],
        initial,
        SMALL.model_copy(update={"epochs": 1}),
        seed=0,
    )
    assert (table[30] != initial[30]).any()
