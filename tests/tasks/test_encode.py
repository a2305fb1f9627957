"""From examples to features, over one tokenizer of every published family."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.errors import DataError, TokenizerError
from destila.tasks.encode import encode_classify, encode_tag
from destila.tokenizer.split_words import split_words
from destila.tokenizer.pieces import Pieces
from destila.types import IGNORE, Example

TEXT = "El 👍 niño, María Peña, comió en A Coruña — ¿2,5 años?"
LABELS = ("O", "B-PER", "I-PER")


def tagged(text: str, name: str = "x") -> Example:
    words = split_words(text)
    return Example(name, text, words=words, target=tuple(LABELS[i % 3] for i in range(len(words))))


def classify(tokenizer, *examples: Example, max_length: int = 32):
    return encode_classify(examples, tokenizer, ("a", "b"), max_length=max_length)


def words_of(text: str, start: int, end: int) -> str:
    return text[start:end].strip("▁Ġ ")


# classification


def test_an_example_is_framed_by_specials_and_its_unit_sits_at_the_first_token(tokenizer):
    f = classify(tokenizer, Example("x", TEXT, target="b"), max_length=64).features[0]
    assert f.input_ids[0] == tokenizer.cls_id
    assert f.input_ids[-1] == tokenizer.sep_id
    assert f.unit.tolist() == [0] + [-1] * (len(f.input_ids) - 1)
    assert (f.owned.tolist(), f.target.tolist(), f.start) == ([True], [1], 0)


def test_spans_cover_the_original_text_in_order_and_specials_have_none(tokenizer):
    f = classify(tokenizer, Example("x", TEXT), max_length=64).features[0]
    assert f.spans[0].tolist() == f.spans[-1].tolist() == [0, 0]
    inner = f.spans[1:-1]
    assert (inner[:, 0] <= inner[:, 1]).all()
    assert inner[:, 1].max() <= len(TEXT)
    covered = {i for start, end in inner.tolist() for i in range(start, end)}
    assert {i for i, c in enumerate(TEXT) if not c.isspace()} == covered


def test_the_second_text_has_spans_of_its_own(tokenizer):
    f = classify(tokenizer, Example("x", "El niño", pair="La niña camina")).features[0]
    ends = f.spans[:, 1].tolist()
    assert ends.count(7) >= 1
    assert max(ends) == 14
    assert f.spans[:, 0].tolist().count(0) >= 2


def test_no_target_is_ignored_and_an_unknown_label_names_example_and_nearest(tokenizer):
    assert classify(tokenizer, Example("x", "hola")).features[0].target.tolist() == [IGNORE]
    with pytest.raises(
        DataError, match=r"example 'x' has the label 'positivo', .*Did you mean 'positiva'"
    ):
        encode_classify(
            [Example("x", "hola", target="positivo")], tokenizer, ["positiva", "otra"], max_length=8
        )


def test_truncated_examples_are_counted_and_fill_the_window(tokenizer):
    encoded = classify(tokenizer, Example("x", TEXT * 5), Example("y", "Hola"), max_length=16)
    assert encoded.notes == {"truncated": 1}
    assert len(encoded.features[0].input_ids) == 16
    assert [f.row for f in encoded.features] == [0, 1]


def test_an_empty_text_is_only_specials(tokenizer):
    f = classify(tokenizer, Example("x", "")).features[0]
    assert f.input_ids.tolist() == [tokenizer.cls_id, tokenizer.sep_id]


def test_longest_first_truncation_of_pairs_is_that_of_transformers(tokenizer, tmp_path, caplog):
    transformers = pytest.importorskip("transformers")
    caplog.set_level(logging.ERROR)
    tokenizer.save(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    long = " ".join(["año"] * 12)
    pairs = [(long[: 4 * m - 1], long[: 4 * n - 1]) for m in range(1, 13) for n in range(1, 13)]
    examples = [Example(str(i), a, pair=b) for i, (a, b) in enumerate(pairs)]
    for length in (9, 10, 13):
        ours = encode_classify(examples, tokenizer, ("a",), max_length=length).features
        a, b = (list(side) for side in zip(*pairs, strict=True))
        wanted = theirs(a, b, truncation="longest_first", max_length=length)["input_ids"]
        assert [f.input_ids.tolist() for f in ours] == wanted


def test_a_window_longer_than_the_tokenizers_model_is_refused_with_the_remedy(tokenizer):
    with pytest.raises(
        TokenizerError, match=r"max_length = 65 .* at most 64 tokens: lower max_length"
    ):
        classify(tokenizer, Example("x", "hola"), max_length=65)


# tagging


def test_every_token_knows_its_word(tokenizer):
    example = tagged(TEXT)
    f = encode_tag([example], tokenizer, LABELS, max_length=64).features[0]
    assert f.unit[0] == f.unit[-1] == -1
    assert sorted(set(f.unit[1:-1].tolist())) == list(range(len(example.words)))
    for (start, end), unit in zip(f.spans[1:-1].tolist(), f.unit[1:-1].tolist(), strict=True):
        first, last = example.words[unit]
        assert first <= start <= end <= last
    assert f.target.tolist() == [i % 3 for i in range(len(example.words))]


def test_the_tokens_of_a_word_do_not_depend_on_its_neighbours(tokenizer):
    alone = encode_tag([tagged("Peña")], tokenizer, LABELS, max_length=64).features[0]
    inside = encode_tag([tagged(TEXT)], tokenizer, LABELS, max_length=64).features[0]
    at = [words_of(TEXT, *w) for w in tagged(TEXT).words].index("Peña")
    assert inside.input_ids[inside.unit == at].tolist() == alone.input_ids[alone.unit == 0].tolist()


def test_a_sentence_of_1238_tokens_is_scored_whole(tokenizer):
    sentence = " ".join(["María", "come", "en", "Málaga"] * 310)[: 5 * 1238]
    example = tagged(sentence)
    assert len(example.words) > 1000
    encoded = encode_tag([example], tokenizer, LABELS, max_length=64)
    owned = [f.start + int(u) for f in encoded.features for u in np.flatnonzero(f.owned)]
    assert owned == list(range(len(example.words)))
    assert encoded.notes == {"windowed": 1, "windows": len(encoded.features)}
    assert max(len(f.input_ids) for f in encoded.features) <= 64
    for f in encoded.features:
        here = [LABELS.index(t) for t in example.target[f.start : f.start + len(f.owned)]]
        assert f.target.tolist() == [
            t if own else IGNORE for t, own in zip(here, f.owned, strict=True)
        ]
        assert set(f.unit[f.unit >= 0].tolist()) == set(range(len(f.owned)))


def test_a_word_longer_than_the_window_names_example_and_word(tokenizer):
    word = "superextraordinariamente" * 4
    with pytest.raises(
        TokenizerError, match=r"example 'largo': the word 'superextra.*raise max_length or split"
    ):
        encode_tag([tagged(f"una {word} aquí", "largo")], tokenizer, LABELS, max_length=16)


def test_as_many_labels_as_words_are_needed(tokenizer):
    example = Example("x", "una casa", words=((0, 3), (4, 8)), target=("O",))
    with pytest.raises(DataError, match="example 'x' has 2 words and 1 labels"):
        encode_tag([example], tokenizer, LABELS, max_length=16)


def test_a_word_that_no_piece_covers_still_has_a_token(tokenizer):
    example = Example("x", "a \u200b b", words=((0, 1), (2, 3), (4, 5)))
    f = encode_tag([example], tokenizer, LABELS, max_length=16).features[0]
    assert set(f.unit[f.unit >= 0].tolist()) == {0, 1, 2}


def test_an_example_without_words_is_one_window_without_units(tokenizer):
    encoded = encode_tag([Example("x", "")], tokenizer, LABELS, max_length=16)
    assert [len(f.owned) for f in encoded.features] == [0]


def test_rows_number_the_examples_across_chunks(tokenizer, monkeypatch):
    monkeypatch.setattr("destila.tasks.encode._CHUNK", 2)
    examples = [tagged(t, t) for t in ("uno", "dos", "tres", "cuatro", "cinco")]
    assert [f.row for f in encode_tag(examples, tokenizer, LABELS, max_length=16).features] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert [
        f.row
        for f in classify(tokenizer, *[Example(e.id, e.text, pair="y") for e in examples]).features
    ] == [*range(5)]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.just(["a", *[""] * 120, "b"])
    | st.lists(
        st.text(
            st.sampled_from("aeñóLÁ.,¿9-–\u0301\u00a0\t\r\n\u2003€😀Σ "), min_size=1, max_size=9
        ),
        min_size=30,
        max_size=90,
    ),
    blank=st.sampled_from([" ", "  ", " \n", "\u00a0 "]),
)
def test_a_long_text_is_read_from_a_beginning_with_the_tokens_of_the_whole(tokenizer, words, blank):
    text = blank.join(words)
    [whole] = tokenizer.text([text])
    room = 12 - tokenizer.special_count(False)
    ids, _, spans, _ = tokenizer.frame(Pieces(whole.ids[:room], whole.spans[:room]))
    encoded = encode_classify([Example("0", text)], tokenizer, ["a"], max_length=12)
    assert encoded.notes == {"truncated": int(len(whole.ids) > room)}
    assert encoded.features[0].input_ids.tolist() == ids.tolist()
    assert encoded.features[0].spans.tolist() == spans.tolist()
