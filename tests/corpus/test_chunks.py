"""The arrays of a chunk of documents."""

from __future__ import annotations

import numpy as np
import pytest

from destila.corpus.chunks import STEPS, ChunkOptions, MinHash, make_chunk, signatures
from destila.corpus.filters import Filters

OPTIONS = ChunkOptions(filters=Filters(min_words=3))
DOCUMENTS = [
    ["El niño comió en España. ¿Hacía frío?", "http://a.es/b", "La niña, no."],
    ["corto"],
    ["El presidente de la República visitó Sevilla."],
]


def test_a_chunk_holds_the_sentences_of_the_documents_that_stay(unigram):
    chunk = make_chunk(DOCUMENTS, unigram, OPTIONS)
    sentences = ["El niño comió en España.", "¿Hacía frío?", "La niña, no.", DOCUMENTS[2][0]]
    expected = [p.ids.tolist() for p in unigram.text(sentences)]
    assert chunk["tokens"].dtype == np.uint16
    assert chunk["tokens"].tolist() == [token for sentence in expected for token in sentence]
    assert chunk["sentences"].tolist() == list(map(len, expected))
    assert chunk["documents"].tolist() == [3, 1]
    assert chunk["lengths"].tolist() == [sum(map(len, expected[:3])), len(expected[3])]
    counts = dict(zip(STEPS, chunk["counts"].tolist(), strict=True))
    assert counts["documents"] == 3
    assert counts["lines"] == 5
    assert counts["lines_emptied"] == 1
    assert counts["short"] == 1


def test_lines_stay_whole_when_they_are_not_to_be_split(unigram):
    chunk = make_chunk(DOCUMENTS, unigram, OPTIONS.model_copy(update={"split": False}))
    assert chunk["documents"].tolist() == [2, 1]


def test_a_chunk_without_a_document_left_is_empty(unigram):
    chunk = make_chunk([["corto"]], unigram, OPTIONS)
    assert [
        len(chunk[name]) for name in ("tokens", "sentences", "documents", "lengths", "exact")
    ] == [0] * 5
    assert chunk["signature"].shape[0] == 0


def test_ids_are_those_of_text_with_spans(tokenizer, lines):
    texts = [*lines, "", "a\u00a0b \ud83d c"]
    assert tokenizer.ids(texts) == [p.ids.tolist() for p in tokenizer.text(texts)]


class TestSignatures:
    near = MinHash(shingle=3, permutations=256, bands=16)

    def test_they_depend_on_the_document_alone(self):
        pytest.importorskip("rensa")
        chance = np.random.default_rng(0)
        documents = [chance.integers(0, 900, n).astype(np.uint16) for n in (40, 2, 3, 1, 60)]
        together = signatures(
            np.concatenate(documents), np.array([40, 2, 3, 1, 60], np.uint32), self.near
        )
        alone = [signatures(d, np.array([len(d)], np.uint32), self.near)[0] for d in documents]
        assert (together == np.stack(alone)).all()

    def test_their_agreement_estimates_the_similarity_of_shingles(self):
        pytest.importorskip("rensa")
        a = np.arange(300, dtype=np.uint16)
        b = np.concatenate([a[:240], a[:60] + 1000])  # 238 shingles in common of 298 + 298 - 238
        rows = signatures(np.concatenate([a, b]), np.array([300, 300], np.uint32), self.near)
        assert (rows[0] == rows[1]).mean() == pytest.approx(238 / 358, abs=0.08)
