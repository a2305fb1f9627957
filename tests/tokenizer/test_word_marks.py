"""Which pieces begin a word, in the four kinds of vocabulary."""

from __future__ import annotations

import numpy as np
import pytest

from destila.errors import ConfigError, TokenizerError
from destila.tokenizer.tokenizer import Tokenizer, parse
from destila.tokenizer.word_marks import marks, word_starts


def words(tokenizer: Tokenizer, text: str, rule: str = "whole") -> list[str]:
    ids = tokenizer.text([text])[0].ids
    starts = np.flatnonzero(word_starts(ids[None], marks(tokenizer, rule))[0])
    pieces = tokenizer.pieces_of(ids)
    return ["".join(pieces[a:b]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]


def test_an_accented_suffix_belongs_to_its_word(bpe):
    pieces = bpe.pieces_of(bpe.text(["comió desarticulación"])[0].ids)
    assert any(not p.isascii() and not p.startswith("▁") for p in pieces)
    assert words(bpe, "comió desarticulación") == ["▁comió", "▁desarticulación"]


def test_the_published_rule_cuts_at_every_accent(bpe):
    found = words(bpe, "desarticulación", "published")
    assert len(found) > 1
    assert not found[1][0].isascii() or not found[1].isascii()


def test_punctuation_is_a_word_of_its_own_and_a_word_follows_it(bpe):
    assert words(bpe, "¿Qué tal? pre-coz") == ["▁¿", "qué", "▁tal", "?", "▁pre", "-", "coz"]


def test_words_of_wordpiece_hold_their_continuations(wordpiece):
    found = words(wordpiece, "¿Qué canción bonita, desarticulada?")
    assert [w.replace("##", "") for w in found] == [
        "¿",
        "qué",
        "canción",
        "bonita",
        ",",
        "desarticulada",
        "?",
    ]
    assert found == words(wordpiece, "¿Qué canción bonita, desarticulada?", "published")


def test_a_character_cut_into_bytes_starts_no_word(bytelevel):
    found = words(bytelevel, "La cigüeña Ñandú, ¡qué ẽ!")
    assert [w[:1] == "Ġ" for w in found] == [False, True, True, False, True, True, False]
    assert "Ñ" not in bytelevel.spell(range(bytelevel.vocab_size))  # it really is cut, and so is ¡


def test_each_piece_by_itself(bpe):
    ids = bpe.text(["desarticulación"])[0].ids
    assert len(words(bpe, "desarticulación", "piece")) == len(ids) > 1


def test_special_tokens_start_no_word_and_what_follows_them_does(bpe):
    inner = bpe.text(["desarticulación"])[0].ids
    ids = np.array([[bpe.cls_id, inner[1], bpe.sep_id, inner[2], bpe.pad_id]])
    assert word_starts(ids, marks(bpe)).tolist() == [[False, True, False, True, False]]


def test_ordinary_pieces_are_those_that_text_is_made_of(tokenizer):
    found = marks(tokenizer)
    names = {
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    }
    assert not names & set(found.ordinary.tolist())
    assert len(found.ordinary) == tokenizer.vocab_size - len(
        names | set(np.flatnonzero(found.special))
    )


def test_symbols_of_the_vocabulary_are_ordinary(bpe):
    assert {5, 6, 7, 8} <= set(marks(bpe).ordinary.tolist())


def test_the_published_rule_is_refused_for_bytes(bytelevel):
    with pytest.raises(ConfigError, match="spells words in bytes"):
        marks(bytelevel, "published")


def test_a_vocabulary_without_a_mask_token_is_refused(wordpiece):
    spec, config = wordpiece.content()
    spec["model"]["vocab"]["[HIDDEN]"] = spec["model"]["vocab"].pop("[MASK]")
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] != "[MASK]"]
    config.pop("mask_token")
    with pytest.raises(TokenizerError, match="no mask token"):
        marks(parse(spec, config, source="the test"))
