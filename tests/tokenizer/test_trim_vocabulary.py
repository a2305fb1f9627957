"""Smaller vocabularies: text that was seen is cut as before, what every text needs stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.errors import TokenizerError
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import load_tokenizer, parse_tokenizer
from destila.tokenizer.trim_vocabulary import TrimCost, count_pieces, trim_cost, trim_vocabulary

# fmt: off
WORDS = [
    "el", "niño", "comió", "año", "España", "¿qué?", "«hola»", "3,5", "€", "llovió", "—", "camión",
    "AÑO", "xyz", "日本", "👩\u200d👧", "a", "coruña-vigo", "Óscar",
]
# fmt: on
texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=12).map(" ".join)


def cut(tokenizer, text, words):
    return tokenizer.words(text, split_words(text)) if words else tokenizer.text([text])


def same(old, new, text, words) -> bool:
    pairs = zip(cut(old, text, words), cut(new.tokenizer, text, words), strict=True)
    return all(
        np.array_equal(a.ids, new.ids[b.ids]) and np.array_equal(a.spans, b.spans) for a, b in pairs
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(corpus=st.lists(texts, min_size=1, max_size=5), words=st.booleans())
def test_text_of_which_no_piece_is_dropped_is_cut_as_before(tokenizer, corpus, words):
    trimmed = trim_vocabulary(tokenizer, count_pieces(tokenizer, corpus, words=words))
    assert all(same(tokenizer, trimmed, text, words) for text in corpus)
    assert trim_cost(tokenizer, trimmed, corpus, words=words) == TrimCost(0, 0)


def test_unseen_pieces_are_dropped_and_pieces_keep_their_order(tokenizer, lines):
    trimmed = trim_vocabulary(tokenizer, count_pieces(tokenizer, lines[:3], words=False))
    size = trimmed.tokenizer.vocab_size
    assert size == len(trimmed.ids) < tokenizer.vocab_size
    assert trimmed.ids.tolist() == sorted(trimmed.ids.tolist())
    assert trimmed.tokenizer.pieces_of(range(size)) == tokenizer.pieces_of(trimmed.ids)


def test_specials_and_characters_stay_whatever_was_seen(tokenizer):
    trimmed = trim_vocabulary(tokenizer, np.zeros(tokenizer.vocab_size, np.int64))
    kept = set(trimmed.tokenizer.pieces_of(range(trimmed.tokenizer.vocab_size)))
    every = tokenizer.pieces_of(range(tokenizer.vocab_size))
    assert {p for p in every if len(p.removeprefix("##")) == 1} <= kept
    for role in ("pad_id", "unk_id", "cls_id", "sep_id", "mask_id"):
        assert trimmed.ids[getattr(trimmed.tokenizer, role)] == getattr(tokenizer, role)
    (pieces,) = trimmed.tokenizer.text(["España"])
    assert trimmed.tokenizer.unk_id not in pieces.ids


def test_the_frame_of_a_pair_has_the_new_ids(tokenizer, lines):
    trimmed = trim_vocabulary(tokenizer, count_pieces(tokenizer, lines[:2], words=False))
    old, new = (t.frame(*t.text(lines[:2])) for t in (tokenizer, trimmed.tokenizer))
    assert np.array_equal(trimmed.ids[new[0]], old[0])
    assert all(np.array_equal(a, b) for a, b in zip(old[1:], new[1:], strict=True))


def test_the_most_frequent_pieces_are_kept_when_a_size_is_given(tokenizer, lines):
    seen = count_pieces(tokenizer, lines, words=False)
    least = trim_vocabulary(tokenizer, np.zeros_like(seen)).tokenizer.vocab_size
    size = least + 20
    trimmed = trim_vocabulary(tokenizer, seen, size=size)
    assert least < trimmed.tokenizer.vocab_size <= size
    free = np.setdiff1d(np.arange(len(seen)), trim_vocabulary(tokenizer, np.zeros_like(seen)).ids)
    best = free[np.argmax(seen[free])]
    assert best in trimmed.ids
    assert 0 < trim_cost(tokenizer, trimmed, lines, words=False).changed < 1


def test_a_size_below_what_every_text_needs_is_refused(tokenizer):
    with pytest.raises(
        TokenizerError, match=r"size = 5 is less than the \d+ characters and special tokens"
    ):
        trim_vocabulary(tokenizer, np.ones(tokenizer.vocab_size, np.int64), size=5)


def test_a_trimmed_tokenizer_is_saved_and_loaded(tokenizer, lines, tmp_path):
    trimmed = trim_vocabulary(tokenizer, count_pieces(tokenizer, lines[:4], words=False)).tokenizer
    trimmed.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.fingerprint, again.vocab_size, again.max_length) == (
        trimmed.fingerprint,
        trimmed.vocab_size,
        64,
    )


def test_changed_tokens_are_counted(bpe, lines):
    trimmed = trim_vocabulary(bpe, np.zeros(bpe.vocab_size, np.int64))
    (old,), (new,) = bpe.text(lines[:1]), trimmed.tokenizer.text(lines[:1])
    before = [(int(i), *s) for i, s in zip(old.ids, old.spans.tolist(), strict=True)]
    after = [(int(trimmed.ids[i]), *s) for i, s in zip(new.ids, new.spans.tolist(), strict=True)]
    want = sum(token not in after for token in before) / len(before)
    assert trim_cost(bpe, trimmed, lines[:1], words=False).changed == pytest.approx(want)
    assert want > 0


def test_letters_of_other_alphabets_can_go(unigram, lines):
    lines = [*lines, "日本", "Ω", "Ñandú", "3 € ½"]
    spec, config = unigram.content()
    letters = [
        [c, -20.0] for c in "日本Ωñ½" if c not in unigram.pieces_of(range(unigram.vocab_size))
    ]
    spec["model"]["vocab"] += [*letters, ["lowest", -21.0]]  # the lowest score stays
    whole = parse_tokenizer(spec, config, source="with letters of others")
    seen = count_pieces(whole, ["Ω mega"], words=False)

    few = trim_vocabulary(whole, seen, characters="latin").tokenizer
    kept = few.pieces_of(range(few.vocab_size))
    assert {"Ω", "ñ", "½"} <= set(kept)
    assert not {"日", "本"} & set(kept)
    every = trim_vocabulary(whole, seen).tokenizer
    assert {"日", "本"} <= set(every.pieces_of(range(every.vocab_size)))


def test_characters_that_lost_their_name_are_counted(unigram):
    spec, config = unigram.content()
    spec["model"]["vocab"] += [["日", -20.0], ["本", -20.0], ["lowest", -21.0]]
    whole = parse_tokenizer(spec, config, source="with letters of others")
    few = trim_vocabulary(whole, np.zeros(whole.vocab_size, np.int64), characters="latin")
    # two characters of four that are no blanks; the third, 語, neither of the two has a name for
    assert trim_cost(whole, few, ["日本 a", "語"], words=False).unknown == 0.5
