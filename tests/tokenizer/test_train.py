"""Tokenizers trained by us."""

from __future__ import annotations

import json

import pytest

from destila.errors import TokenizerError
from destila.tokenizer.train import learn, reservoir_sample, vocabulary_fit


def test_the_albeto_recipe_gives_its_ids_and_its_frame(bpe):
    expected = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "-", "–", "£", "€"]
    assert bpe.pieces_of(range(9)) == expected
    a, b = bpe.text(["el", "la"])
    assert bpe.frame(a, b)[1].tolist() == [0] * (len(a.ids) + 2) + [1] * (len(b.ids) + 1)


def test_symbols_are_never_merged_and_do_not_start_words(bpe, unigram, wordpiece):
    for tokenizer in (bpe, unigram, wordpiece):
        vocab = tokenizer.pieces_of(range(tokenizer.vocab_size))
        assert [p for p in vocab if set(p) & set("-–£€") and p not in "-–£€"] == []
        pieces = tokenizer.text(["año-nuevo"])[0]
        assert pieces.spans[pieces.ids == tokenizer.id_of("-")].tolist() == [[3, 4]]


def test_no_piece_holds_a_blank_or_occurs_twice(tokenizer):
    vocab = tokenizer.pieces_of(range(tokenizer.vocab_size))
    assert not [p for p in vocab if any(c.isspace() for c in p)]
    assert len(set(vocab)) == tokenizer.vocab_size


def test_the_vocabulary_has_the_size_asked_for(bpe, wordpiece):
    assert (bpe.vocab_size, wordpiece.vocab_size) == (400, 400)


def test_only_cased_tokenizers_have_capitals(lines):
    """Lower-case tokenizers have no capitals and cased ones do."""
    small = learn(lines, vocab_size=200)
    cased = learn(lines, vocab_size=200, lowercase=False)
    capitals = [
        any("A" <= c <= "Z" for p in t.pieces_of(range(5, 200)) for c in p) for t in (small, cased)
    ]
    assert capitals == [False, True]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "bytelevel"])
@pytest.mark.parametrize("keep", [True, False])
def test_accents_are_kept_or_not(lines, kind, keep):
    tokenizer = learn(lines, kind=kind, vocab_size=400, keep_accents=keep)
    one, other = tokenizer.text(["año", "ano"])
    assert (one.ids.tolist() != other.ids.tolist()) is keep


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "bytelevel"])
def test_training_twice_gives_the_same_tokenizer(lines, kind):
    first, second = (learn(lines * 3, kind=kind, vocab_size=400) for _ in range(2))
    assert first.fingerprint == second.fingerprint


def test_rare_characters_beyond_the_alphabet_are_unknown(lines):
    tokenizer = learn([*lines * 3, "日本語"], vocab_size=300, alphabet=50)
    assert tokenizer.unk_id in tokenizer.text(["日"])[0].ids
    assert tokenizer.unk_id not in tokenizer.text(["niño"])[0].ids


def test_blank_lines_alone_are_an_error():
    with pytest.raises(TokenizerError, match="no text"):
        learn(["", "  ", "\t"], vocab_size=100)


def test_progress_ends_with_the_number_of_lines_that_hold_text(lines):
    seen: list[int] = []
    learn(["", *lines * 60], vocab_size=100, progress=seen.append)
    assert seen == [1000, len(lines) * 60]


def test_a_sample_is_of_the_lines_and_leaves_them_unchanged():
    kept: list[str] = []
    lines = [str(i) for i in range(1000)]
    assert list(reservoir_sample(lines, 50, kept)) == lines
    assert len(set(kept)) == 50
    assert max(map(int, kept)) > 500  # not just the first ones


def test_the_fit_counts_unknown_tokens_and_tokens_per_word(bpe):
    fit = vocabulary_fit(bpe, ["el niño 日"])
    tokens = len(bpe.text(["el niño 日"])[0].ids)
    assert fit == {"unknown_share": 1 / tokens, "tokens_per_word": tokens / 3}


def test_a_trained_file_opens_with_the_library_alone(bpe, tmp_path):
    from tokenizers import Tokenizer

    bpe.save(tmp_path)
    plain = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "El niño comió, en\tEspaña - 3 €"
    assert plain.encode(text, add_special_tokens=False).ids == bpe.text([text])[0].ids.tolist()
    assert plain.decode(plain.encode(text).ids) == "el niño comió, en españa - 3 €"
    assert (
        json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"]
        == "PreTrainedTokenizerFast"
    )
