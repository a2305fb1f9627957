"""Which pieces of the four kinds of vocabulary begin a word, and how long they are."""

from __future__ import annotations

import numpy as np
import pytest

from destila.errors import ConfigError, TokenizerError
from destila.tokenizer.tokenizer import Tokenizer, parse_tokenizer
from destila.tokenizer.word_marks import characters_per_piece, read_word_marks, word_starts

TEXT = "El niño comió en España: «desarticulación», ¿qué ẽ?"


def words(tokenizer: Tokenizer, text: str, rule: str = "whole") -> list[str]:
    ids = tokenizer.text([text])[0].ids
    starts = np.flatnonzero(word_starts(ids[None], read_word_marks(tokenizer, rule))[0])
    pieces = tokenizer.pieces_of(ids)
    return ["".join(pieces[a:b]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]


def test_an_accented_suffix_belongs_to_its_word(bpe):
    pieces = bpe.pieces_of(bpe.text(["comió desarticulación"])[0].ids)
    assert any(not p.isascii() and not p.startswith("▁") for p in pieces)
    assert words(bpe, "comió desarticulación") == ["▁comió", "▁desarticulación"]


def test_the_published_rule_cuts_at_every_accent(bpe):
    result = words(bpe, "desarticulación", "published")
    assert len(result) > 1
    assert not result[1][0].isascii() or not result[1].isascii()


def test_punctuation_is_a_word_of_its_own_and_a_word_follows_it(bpe):
    assert words(bpe, "¿Qué tal? pre-coz") == ["▁¿", "qué", "▁tal", "?", "▁pre", "-", "coz"]


def test_words_of_wordpiece_hold_their_continuations(wordpiece):
    result = words(wordpiece, "¿Qué canción bonita, desarticulada?")
    assert [w.replace("##", "") for w in result] == [
        "¿",
        "qué",
        "canción",
        "bonita",
        ",",
        "desarticulada",
        "?",
    ]
    assert result == words(wordpiece, "¿Qué canción bonita, desarticulada?", "published")


def test_a_character_cut_into_bytes_starts_no_word(bytelevel):
    result = words(bytelevel, "La cigüeña Ñandú, ¡qué ẽ!")
    assert [w[:1] == "Ġ" for w in result] == [False, True, True, False, True, True, False]
    assert "Ñ" not in bytelevel.spell(range(bytelevel.vocab_size))  # it really is cut, and so is ¡


def test_each_piece_by_itself(bpe):
    ids = bpe.text(["desarticulación"])[0].ids
    assert len(words(bpe, "desarticulación", "piece")) == len(ids) > 1


def test_what_follows_a_special_token_starts_a_word(bpe):
    """Special tokens themselves start none."""
    inner = bpe.text(["desarticulación"])[0].ids
    ids = np.array([[bpe.cls_id, inner[1], bpe.sep_id, inner[2], bpe.pad_id]])
    assert word_starts(ids, read_word_marks(bpe)).tolist() == [[False, True, False, True, False]]


def test_ordinary_pieces_are_those_that_text_is_made_of(tokenizer):
    marks = read_word_marks(tokenizer)
    names = {
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    }
    assert not names & set(marks.ordinary.tolist())
    assert len(marks.ordinary) == tokenizer.vocab_size - len(
        names | set(np.flatnonzero(marks.special))
    )


def test_symbols_of_the_vocabulary_are_ordinary(bpe):
    assert {5, 6, 7, 8} <= set(read_word_marks(bpe).ordinary.tolist())


def test_the_published_rule_is_refused_for_bytes(bytelevel):
    with pytest.raises(ConfigError, match="spells words in bytes"):
        read_word_marks(bytelevel, "published")


def test_a_vocabulary_without_a_mask_token_is_refused(wordpiece):
    spec, config = wordpiece.content()
    spec["model"]["vocab"]["[HIDDEN]"] = spec["model"]["vocab"].pop("[MASK]")
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] != "[MASK]"]
    config.pop("mask_token")
    with pytest.raises(TokenizerError, match="no mask token"):
        read_word_marks(parse_tokenizer(spec, config, source="the test"))


@pytest.mark.parametrize(("kind", "blanks_before"), [("unigram", 1), ("bytelevel", 0)])
def test_pieces_of_a_text_spell_its_characters(kind, blanks_before, request):
    tokenizer = request.getfixturevalue(kind)
    # Only bytes spell a letter that is not in the vocabulary.
    known = TEXT if kind == "bytelevel" else TEXT.replace("ẽ", "é")
    ids = tokenizer.text([known])[0].ids
    assert tokenizer.unk_id not in ids
    assert characters_per_piece(tokenizer)[ids].sum() == len(known) + blanks_before


def test_a_continuation_mark_is_no_character(wordpiece):
    ids = wordpiece.text(["desarticulación"])[0].ids
    assert len(ids) > 1
    assert characters_per_piece(wordpiece)[ids].sum() == len("desarticulación")


def test_a_character_cut_into_bytes_is_counted_once(bytelevel):
    ids = bytelevel.text(["ẽ"])[0].ids
    assert len(ids) == 3
    assert characters_per_piece(bytelevel)[ids].tolist() == [1, 0, 0]


def test_special_tokens_spell_nothing(tokenizer):
    ids = [
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    ]
    assert characters_per_piece(tokenizer)[ids].tolist() == [0] * 5
