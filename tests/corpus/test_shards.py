"""Shards on disk: documents read back, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from destila.corpus import shards
from destila.errors import DataError, TokenizerError

DOCUMENTS = [[[5, 6], [7]], [[8]], [[9, 10, 11], [12], [13, 14]]]


@pytest.fixture
def folder(tmp_path, unigram):
    for name, part in (("00000", DOCUMENTS[:2]), ("00001", DOCUMENTS[2:])):
        sentences = [s for document in part for s in document]
        tokens = np.array([t for s in sentences for t in s], np.uint16)
        shards.write_shard(
            tmp_path,
            name,
            tokens,
            np.array(list(map(len, sentences))),
            np.array(list(map(len, part))),
        )
    manifest = {
        "format": shards.SHARD_FORMAT,
        "fingerprint": "toy",
        "counts": {},
        "tokenizer": {"fingerprint": unigram.fingerprint, "vocab_size": unigram.vocab_size},
        "shards": [shards.describe_shard(tmp_path, name) for name in ("00000", "00001")],
    }
    (tmp_path / shards.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def test_documents_come_back_sentence_by_sentence(folder, unigram):
    corpus = shards.open_shards(folder, unigram)
    documents = [
        [
            document.tokens[a:b].tolist()
            for a, b in zip(document.sentences, document.sentences[1:], strict=False)
        ]
        for document in corpus
    ]
    assert documents == DOCUMENTS
    assert len(corpus) == 3
    assert corpus[0].tokens.dtype == np.uint16
    with pytest.raises(IndexError):
        corpus[3]


def test_another_tokenizer_is_refused(folder, wordpiece):
    with pytest.raises(TokenizerError, match=r"was made with tokenizer .* pieces\), but .* is "):
        shards.open_shards(folder, wordpiece)


def test_a_changed_shard_is_refused_by_its_checksum(folder):
    path = folder / "00001.tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"00001.tokens.npy is damaged, its checksum differs"):
        shards.open_shards(folder)
    assert len(shards.open_shards(folder, verify=False)) == 3


def test_a_missing_shard_or_manifest_is_named(folder, tmp_path):
    (folder / "00000.sentences.npy").unlink()
    with pytest.raises(DataError, match=r"00000.sentences.npy is missing"):
        shards.open_shards(folder)
    (folder / shards.MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest.json is not valid JSON"):
        shards.open_shards(folder)
    (folder / shards.MANIFEST).unlink()
    with pytest.raises(DataError, match=r"has no manifest.json"):
        shards.open_shards(folder)
