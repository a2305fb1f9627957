"""Characters of pieces: the pieces of a text spell as many as the text has."""

from __future__ import annotations

import pytest

from destila.tokenizer.letters import characters

TEXT = "El niño comió en España: «desarticulación», ¿qué ẽ?"


@pytest.mark.parametrize(("kind", "extra"), [("unigram", 1), ("bytelevel", 0)])
def test_pieces_of_a_text_spell_its_characters(kind, extra, request):
    tokenizer = request.getfixturevalue(kind)
    known = (
        TEXT if kind == "bytelevel" else TEXT.replace("ẽ", "é")
    )  # bytes spell what is not in the vocabulary
    ids = tokenizer.text([known])[0].ids
    assert tokenizer.unk_id not in ids
    assert characters(tokenizer)[ids].sum() == len(known) + extra  # the blank before the first word


def test_a_continuation_mark_is_no_character(wordpiece):
    ids = wordpiece.text(["desarticulación"])[0].ids
    assert len(ids) > 1
    assert characters(wordpiece)[ids].sum() == len("desarticulación")


def test_a_character_cut_into_bytes_is_counted_once(bytelevel):
    ids = bytelevel.text(["ẽ"])[0].ids
    assert len(ids) == 3
    assert characters(bytelevel)[ids].tolist() == [1, 0, 0]


def test_special_tokens_spell_nothing(tokenizer):
    ids = [
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    ]
    assert characters(tokenizer)[ids].tolist() == [0] * 5
