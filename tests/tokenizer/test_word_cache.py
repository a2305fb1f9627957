"""Looking words up gives what encoding whole texts gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.tokenizer import word_cache
from destila.tokenizer.tokenizer import parse_tokenizer
from destila.tokenizer.word_cache import WordCache

ODD = [
    "",
    "  ",
    "[MASK] y <pad>",
    "a\u00a0b\tc",
    "e\u0301l  ni\u00f1o ´a",
    "日 日本",
    "½ ﬁn ¨a",
    "''hola'' ``él``",
    "- – £ €-5",
]


def test_ids_are_those_of_whole_texts(tokenizer, lines):
    cache = WordCache(tokenizer)
    texts = [*lines, *ODD]
    assert cache.ids(texts) == tokenizer.ids(texts)
    assert cache.ids(texts) == tokenizer.ids(texts), "again, from memory"


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.text(alphabet="aeñÑÁ .,-–—«¿'`´[]<>0½€\u0301\u00a0\t日", max_size=30))
def test_no_text_is_encoded_otherwise(tokenizer, text):
    assert WordCache(tokenizer).ids([text]) == tokenizer.ids([text])


def test_words_are_looked_up_where_they_stand_alone(wordpiece, unigram, bpe, bytelevel):
    assert [WordCache(t).applies for t in (wordpiece, unigram, bpe, bytelevel)] == [
        True,
        True,
        True,
        False,
    ]


def test_a_start_mark_on_the_first_word_only_is_not_wordwise(bpe):
    spec, config = bpe.content()
    spec = json.loads(json.dumps(spec).replace('"always"', '"first"'))
    assert not WordCache(parse_tokenizer(spec, config, source="test")).applies


def test_texts_with_an_added_token_are_encoded_whole(bpe):
    spec, config = bpe.content()
    flags = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
    }
    spec["added_tokens"].append({"id": bpe.id_of("-"), "content": "-", **flags})
    added = parse_tokenizer(spec, config, source="test")
    texts = ["casa - cama", "casa-cama", "una casa"]
    assert WordCache(added).ids(texts) == added.ids(texts)
    assert WordCache(added).applies


def test_words_are_forgotten_before_they_fill_the_memory(wordpiece, lines, monkeypatch):
    monkeypatch.setattr(word_cache, "_WORDS", 3)
    cache = WordCache(wordpiece)
    for line in lines:
        assert cache.ids([line]) == wordpiece.ids([line])
        assert len(cache._known) < 30


@pytest.mark.parametrize("pattern", [{"String": "a b"}, {"Regex": r"\w \w"}])
def test_a_replacement_across_blanks_is_not_wordwise(bpe, pattern):
    spec, _ = bpe.content()
    spec["normalizer"] = {"type": "Replace", "pattern": pattern, "content": "c"}
    assert not word_cache.is_wordwise(spec)
