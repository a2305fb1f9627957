"""Masks filled by a model: what may change in a text, what may not, and which tokens are words."""

from __future__ import annotations

import pytest
import torch

from destila.errors import ModelError
from destila.models.architecture import from_shape
from destila.models.mlm import MaskedModel, build_masked_model
from destila.teachers.made_texts.fill import fill_words, whole_words
from destila.tokenizer.split_words import split_words
from destila.types import Example

TEXTS = (
    "El presidente de la República visitó Sevilla, Córdoba y Málaga.",
    "¡Hola! ¿Qué tal estás, José? Muy bien, gracias.",
    "UN TITULAR EN MAYÚSCULAS: AÑO NUEVO.",
    "3 - 4 = 12,5 %",
)


def model_for(tokenizer, **shape) -> MaskedModel:
    chosen = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.5} | shape
    return build_masked_model(
        from_shape(chosen, vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id), seed=1
    )


def run(tokenizer, examples, **options) -> list[Example]:
    usual = {"copies": 1, "share": 0.3, "top": 5, "seed": 0}
    return fill_words(examples, model_for(tokenizer), tokenizer, **(usual | options))


def test_candidates_are_tokens_that_are_a_whole_word(tokenizer):
    ids, words = whole_words(tokenizer)
    assert len(ids) == len(words) > 20
    assert len(set(ids.tolist())) == len(ids)
    for i, word in zip(ids.tolist(), words, strict=True):
        assert word.isalpha()
        assert len(word) > 1 or word.lower() in "aeouy"
        assert tokenizer.words(word, [(0, len(word))])[0].ids.tolist() == [i]
    assert {"la", "en"} <= set(words)


def test_words_give_way_to_words_and_everything_else_stays(tokenizer):
    examples = [Example(f"t{i}", text) for i, text in enumerate(TEXTS)]
    made = run(tokenizer, examples, copies=3)
    assert {e.id.split("-")[0] for e in made} == {
        "t0",
        "t1",
        "t2",
    }  # a text without letters is left out
    words = {w.casefold() for w in whole_words(tokenizer)[1]}
    for example in made:
        old = TEXTS[int(example.id[1])]
        before, after = split_words(old), split_words(example.text)
        assert len(before) == len(after)
        assert (example.target, example.words, example.pair) == (None, (), None)
        changed = 0
        for (a, b), (c, d) in zip(before, after, strict=True):
            one, other = old[a:b], example.text[c:d]
            if one != other:
                changed += 1
                assert other.casefold() in words
                assert other.casefold() != one.casefold()
                assert other[0].isupper() or not one[0].isupper()
                assert not (one.isupper() and len(one) > 1) or other.isupper()
        letters = sum(any(ch.isalpha() for ch in old[a:b]) for a, b in before)
        assert 1 <= changed <= max(1, round(0.3 * letters))
    assert len({e.text for e in made}) > 3


def test_words_keep_their_number_and_both_sides_change(bpe):
    """Given words keep their number, and pairs change on both sides."""
    words = split_words(TEXTS[0])
    (tagged,) = run(
        bpe, [Example("t", TEXTS[0], words=words, target=("O",) * len(words))], share=0.5
    )
    assert len(tagged.words) == len(words)
    assert tagged.target is None
    assert all(tagged.text[a:b].strip() for a, b in tagged.words)
    (pair,) = run(bpe, [Example("p", TEXTS[0], pair=TEXTS[1])], share=1.0)
    assert pair.text != TEXTS[0]
    assert pair.pair != TEXTS[1]


def test_fillings_depend_on_seed_copy_and_text_alone(bpe):
    """What is made depends on seed, copy and text, and not on its neighbours."""
    examples = [Example(f"t{i}", text) for i, text in enumerate(TEXTS)]
    every = {e.id: e.text for e in run(bpe, examples, copies=2)}
    alone = {e.id: e.text for text in examples for e in run(bpe, [text], copies=2)}
    assert alone == every
    assert every["t0-fill0"] != every["t0-fill1"]
    assert {e.id: e.text for e in run(bpe, examples, copies=2, seed=1)} != every


def test_likely_words_are_drawn_but_never_the_old_one(bpe):
    """The likeliest words are drawn and never the one that was there."""
    model = model_for(bpe)
    ids, words = whole_words(bpe)
    first, second = words.index("la"), words.index("el")
    with torch.no_grad():
        model.head.bias.zero_()
        model.head.bias[int(ids[first])] = 1000.0
        model.head.bias[int(ids[second])] = 500.0
    made = fill_words(
        [Example("t", "pan y la leche")], model, bpe, copies=1, share=1.0, top=3, seed=0
    )
    assert made[0].text == "la la el la"


def test_a_long_text_changes_only_where_the_model_reads(bpe):
    long = " ".join(["pan"] * 40 + ["queso"] * 200)
    for example in (Example("t", long), Example("p", long, pair=long)):
        (made,) = run(bpe, [example], share=1.0)
        for text in (made.text, made.pair or made.text):
            assert len(text.split()) == 240
            assert text.split()[-100:] == ["queso"] * 100
            assert text.split()[0] != "pan"


def test_a_text_that_holds_a_mask_already_is_left_out(bpe):
    assert run(bpe, [Example("t", "el [MASK] duerme")]) == []


def test_a_tokenizer_without_a_mask_is_refused(bpe, monkeypatch):
    monkeypatch.setattr(bpe, "mask_id", None)
    with pytest.raises(ModelError, match="has no mask token"):
        run(bpe, [Example("t", "el niño")])
