"""Spans, words, frames, special ids and repairs of loaded tokenizers."""

from __future__ import annotations

import json
import os
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from destila.errors import ModelError, TokenizerError
from destila.tokenizer.split_words import split_words
from destila.tokenizer.tokenizer import Tokenizer, load_tokenizer, parse_tokenizer

TEXTS = [
    "El niño comió en España.",
    "¡Hola,\tmundo!\u00a0¿Qué 😀 tal?\n Año – 3,5 €",
    "Nin\u0303o, cancio\u0301n y pingu\u0308ina",
    "👩‍👩‍👧 y 🇪🇸 juntos   y separados ",
    "日本 語\t中文",
]


def spec_of(tokenizer: Tokenizer) -> dict:
    return json.loads(tokenizer._json)


def write(folder: Path, spec: dict, config: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def check_spans(text: str, spans: np.ndarray) -> None:
    """Spans are ordered, inside the text, free of blanks, and cover every visible character."""
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert (np.diff(spans[:, 1]) >= 0).all()
    assert not any(c.isspace() for s, e in spans.tolist() for c in text[s:e])
    covered = {i for s, e in spans.tolist() for i in range(s, e)}
    assert covered == {i for i, c in enumerate(text) if not c.isspace()}


@pytest.mark.parametrize("text", TEXTS)
def test_spans_cover_every_visible_character(tokenizer, text):
    """Every visible character of the original text lies in a span, and no blank does."""
    check_spans(text, tokenizer.text([text])[0].spans)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.sampled_from("aeñÑéÁ Zz😀¿—\u0301\u0303\t\n\u00a0\u2003.,-ßﬁ½日"), max_size=30))
@example("\u0301a")
def test_spans_of_any_text_are_in_order(tokenizer, text):
    """Spans of any text stay inside it, in order and without blanks."""
    spans = tokenizer.text([text])[0].spans
    assert (spans >= 0).all()
    assert (spans <= len(text)).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert not any(c.isspace() for s, e in spans.tolist() for c in text[s:e])


def test_tokens_of_one_character_share_its_span(bytelevel):
    pieces = bytelevel.text(["😀"])[0]
    assert len(pieces.ids) == 4
    assert pieces.spans.tolist() == [[0, 1]] * 4


def test_a_decomposed_letter_is_one_span_with_its_accent(bpe):
    text = "cancio\u0301n"
    spans = bpe.text([text])[0].spans
    assert any(text[s:e].endswith("o\u0301") or "o\u0301" in text[s:e] for s, e in spans.tolist())


def test_a_bare_start_mark_has_an_empty_span(unigram):
    """A mark of a word's start alone has an empty span where its word starts."""
    pieces = unigram.text(["¡a ¡"])[0]
    assert unigram.pieces_of(pieces.ids)[0] == "▁"
    assert pieces.spans[0].tolist() == [0, 0]


def test_an_empty_text_and_a_blank_one_have_no_visible_tokens(tokenizer):
    empty, blank = tokenizer.text(["", " \t "])
    assert len(empty.ids) == 0
    assert all(s == e for s, e in blank.spans.tolist())


def test_half_a_surrogate_pair_does_not_stop_the_encoding(tokenizer):
    assert tokenizer.text(["a \ud83d b"])[0].spans.tolist()[-1] == [4, 5]


def test_words_are_encoded_each_on_its_own(tokenizer):
    """Their spans are into the text."""
    text = "El niño comió,   ¡Año nuevo! 😀"
    words = split_words(text)
    pieces = tokenizer.words(text, words)
    assert len(pieces) == len(words)
    for (start, end), piece in zip(words, pieces, strict=True):
        visible = [(s, e) for s, e in piece.spans.tolist() if s < e]
        assert visible[0][0] == start
        assert visible[-1][1] == end


def test_a_word_alone_is_encoded_as_inside_a_sentence(tokenizer):
    words = ["El", "niño", "comió", "en", "Sevilla"]
    text = "Ah " + " ".join(words)  # not at the start, where byte-level tokenizers drop the mark
    bounds = np.cumsum([3, *(len(w) + 1 for w in words)])
    spans = [(int(s), int(s) + len(w)) for s, w in zip(bounds, words, strict=False)]
    alone = np.concatenate([p.ids for p in tokenizer.words(text, spans)])
    whole = tokenizer.text([text])[0]
    assert alone.tolist() == whole.ids[whole.spans[:, 1] > 2].tolist()


def test_bytelevel_marks_the_first_word_in_words_only(bytelevel):
    """The first word is marked in `words`, but not in `text`."""
    assert bytelevel.pieces_of(bytelevel.words("el", [(0, 2)])[0].ids)[0] == "Ġel"
    assert bytelevel.pieces_of(bytelevel.text(["el"])[0].ids)[0] != "Ġel"


def test_a_metaspace_that_never_prepends_still_marks_words(bpe):
    spec = spec_of(bpe)
    spec["pre_tokenizer"]["pretokenizers"][0]["prepend_scheme"] = "never"
    tokenizer = parse_tokenizer(spec, source="test")
    assert (
        tokenizer.words("el", [(0, 2)])[0].ids.tolist() == bpe.words("el", [(0, 2)])[0].ids.tolist()
    )
    assert tokenizer.text(["el"])[0].ids.tolist() != bpe.text(["el"])[0].ids.tolist()


def test_a_word_without_tokens_is_one_unknown_token(wordpiece):
    """The unknown token covers the word."""
    text = "a \u200b\u200b b"  # BERT's cleaning deletes zero-width blanks
    pieces = wordpiece.words(text, [(0, 1), (2, 4), (5, 6)])[1]
    assert pieces.ids.tolist() == [wordpiece.unk_id]
    assert pieces.spans.tolist() == [[2, 4]]


def test_words_of_many_texts_equal_words_of_each(tokenizer, lines):
    many = tokenizer.words_many([(line, split_words(line)) for line in lines])
    for line, pieces in zip(lines, many, strict=True):
        for one, other in zip(tokenizer.words(line, split_words(line)), pieces, strict=True):
            assert one.ids.tolist() == other.ids.tolist()
            assert one.spans.tolist() == other.spans.tolist()


def test_frames_carry_types_parts_and_spans(bpe):
    a, b = bpe.text(["el niño", "la niña"])
    ids, types, spans, part = bpe.frame(a, b)
    n, m = len(a.ids), len(b.ids)
    assert ids.tolist() == [2, *a.ids.tolist(), 3, *b.ids.tolist(), 3]
    assert types.tolist() == [0] * (n + 2) + [1] * (m + 1)
    assert part.tolist() == [-1] + [0] * n + [-1] + [1] * m + [-1]
    assert spans[[0, n + 1, -1]].tolist() == [[0, 0]] * 3
    assert spans[n + 2 : -1].tolist() == b.spans.tolist()
    assert {ids.dtype, types.dtype, spans.dtype} == {np.dtype(np.int32)}
    assert part.dtype == np.int8
    assert (bpe.special_count(False), bpe.special_count(True)) == (2, 3)


def test_roberta_pairs_have_two_separators_and_one_type(bytelevel):
    a, b = bytelevel.text(["el", "la"])
    ids, types, _, part = bytelevel.frame(a, b)
    assert ids[part < 0].tolist() == [0, 2, 2, 2]
    assert not types.any()
    assert bytelevel.special_count(True) == 4


def test_without_a_template_that_of_its_family_is_used(bpe, bytelevel):
    one, two = spec_of(bpe), spec_of(bytelevel)
    one["post_processor"] = None
    two["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }
    for spec, whole in [(one, bpe), (two, bytelevel)]:
        bare = parse_tokenizer(spec, source="test")
        a, b = whole.text(["el niño", "la niña"])
        for expected, actual in zip(whole.frame(a, b), bare.frame(a, b), strict=True):
            assert expected.tolist() == actual.tolist()


def test_beto_pads_with_one_and_masks_with_zero(wordpiece):
    assert (wordpiece.pad_id, wordpiece.mask_id, wordpiece.cls_id, wordpiece.sep_id) == (1, 0, 4, 5)


def test_where_special_names_are_read(bpe, tmp_path):
    """Special names are read from the config, then the map, then by habit."""
    spec = spec_of(bpe)
    plain = load_tokenizer(write(tmp_path / "a", spec))
    assert (plain.pad_id, plain.cls_id) == (0, 2)
    (tmp_path / "a" / "special_tokens_map.json").write_text(
        '{"cls_token": "[MASK]", "sep_token": {"content": "–"}}'
    )
    mapped = load_tokenizer(tmp_path / "a")
    assert (mapped.cls_id, mapped.sep_id) == (4, 6)
    write(tmp_path / "a", spec, {"cls_token": "[CLS]", "model_max_length": 77})
    both = load_tokenizer(tmp_path / "a")
    assert (both.cls_id, both.sep_id, both.max_length) == (2, 6, 77)


@pytest.mark.parametrize(
    ("name", "role"),
    [("<pad>", "padding"), ("<unk>", "unknown"), ("[CLS]", "start"), ("[SEP]", "end")],
)
def test_a_missing_special_token_is_named_with_its_file(bpe, tmp_path, name, role):
    text = bpe._json.replace(json.dumps(name), '"@x@"')
    spec = json.loads(text)
    if role == "unknown":
        spec["model"]["unk_token"] = None
    with pytest.raises(TokenizerError, match=role) as caught:
        load_tokenizer(write(tmp_path, spec))
    assert str(tmp_path / "tokenizer.json") in str(caught.value)


def test_a_special_token_outside_the_vocabulary_is_refused(bpe, tmp_path):
    with pytest.raises(TokenizerError, match=r"'<nada>' as its padding"):
        load_tokenizer(write(tmp_path, spec_of(bpe), {"pad_token": "<nada>"}))


def test_a_mask_token_may_be_missing(bpe, tmp_path):
    spec = json.loads(bpe._json.replace('"[MASK]"', '"@x@"'))
    assert load_tokenizer(write(tmp_path, spec)).mask_id is None


def test_a_huge_maximum_length_means_none(bpe, tmp_path):
    assert (
        load_tokenizer(write(tmp_path, spec_of(bpe), {"model_max_length": 10**30})).max_length
        is None
    )


def test_a_tokenizer_that_crosses_blanks_is_refused(bpe):
    spec = spec_of(bpe)
    spec["pre_tokenizer"] = None
    spec["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    spec["model"]["vocab"]["▁a▁l"] = len(spec["model"]["vocab"])
    with pytest.raises(TokenizerError, match="cross blanks"):
        parse_tokenizer(spec, source="test")


def test_pieces_that_respect_words_need_no_splitter(bpe):
    """Without a splitter a vocabulary whose pieces respect words is accepted."""
    spec = spec_of(bpe)
    spec["pre_tokenizer"] = None
    prepend = {"type": "Prepend", "prepend": "▁"}
    spec["normalizer"] = {
        "type": "Sequence",
        "normalizers": [prepend, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}],
    }
    tokenizer = parse_tokenizer(spec, {"do_lower_case": True}, source="test")
    text = "el niño\tcomió en\nEspaña"
    check_spans(text, tokenizer.text([text])[0].spans)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
@pytest.mark.parametrize("blank", ["\t", "\n", "\x1c", "\u00a0", "\u2003", "\u3000"])
def test_rare_blanks_split_words_like_plain_ones(request, kind, blank):
    tokenizer = request.getfixturevalue(kind)
    plain, rare = tokenizer.text(["el niño", f"el{blank}niño"])
    assert rare.ids.tolist() == plain.ids.tolist()
    assert rare.spans.tolist() == plain.spans.tolist()


def test_rare_blanks_left_by_the_normaliser_split_words(bpe):
    spec = spec_of(bpe)
    spec["normalizer"] = {"type": "Lowercase"}
    plain, rare = parse_tokenizer(spec, source="test").text(["el niño", "el\tniño"])
    assert rare.ids.tolist() == plain.ids.tolist()


def test_capitals_reach_a_vocabulary_of_small_letters(bpe, caplog):
    """Capitals reach a lower-case vocabulary whose files forgot to lower-case."""
    spec = spec_of(bpe)
    spec["normalizer"] = None
    tokenizer = parse_tokenizer(spec, source="carpeta")
    assert tokenizer.text(["El NIÑO"])[0].ids.tolist() == bpe.text(["el niño"])[0].ids.tolist()
    assert "lower-case only" in caplog.text
    assert "carpeta" in caplog.text
    assert len(tokenizer.notes) == 1


def test_a_flag_against_a_lower_case_vocabulary_is_repaired_too(wordpiece, tmp_path):
    folder = write(tmp_path, spec_of(wordpiece), {"do_lower_case": False})
    ids = load_tokenizer(folder).text(["EL NIÑO"])[0].ids.tolist()
    assert ids == wordpiece.text(["el niño"])[0].ids.tolist()


def test_a_cased_vocabulary_keeps_its_capitals(unigram, bytelevel):
    for tokenizer in (unigram, bytelevel):
        assert tokenizer.notes == ()
        assert tokenizer.text(["El"])[0].ids.tolist() != tokenizer.text(["el"])[0].ids.tolist()


@pytest.mark.parametrize(("one", "other"), [("año", "ano"), ("hacía", "hacia")])
def test_accents_keep_words_apart(tokenizer, one, other):
    a, b = tokenizer.text([one, other])
    assert a.ids.tolist() != b.ids.tolist()


@pytest.mark.parametrize(("one", "other"), [("año", "ano"), ("hacía", "hacia")])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_accent_flags_are_honoured_both_ways(request, tmp_path, kind, one, other, caplog):
    spec = spec_of(request.getfixturevalue(kind))
    for flag in ({"keep_accents": False}, {"strip_accents": True}):
        a, b = load_tokenizer(write(tmp_path, spec, flag)).text([one, other])
        assert a.ids.tolist() == b.ids.tolist()
    assert "accents are stripped" in caplog.text
    stripping = spec_of(load_tokenizer(tmp_path))
    for flag in ({"keep_accents": True}, {"strip_accents": False}):
        a, b = load_tokenizer(write(tmp_path / "b", stripping, flag)).text([one, other])
        assert a.ids.tolist() != b.ids.tolist()


def test_overrides_beat_the_flags_of_the_folder(bpe, tmp_path):
    folder = write(tmp_path, spec_of(bpe), {"keep_accents": True, "do_lower_case": True})
    a, b = load_tokenizer(folder, keep_accents=False).text(["año", "ano"])
    assert a.ids.tolist() == b.ids.tolist()


def test_a_folder_of_the_fast_class_ignores_flags(bpe, tmp_path):
    """Flags beside a tokenizer.json of the fast class are ignored, as transformers does."""
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "keep_accents": False}
    assert (
        load_tokenizer(write(tmp_path, spec_of(bpe), config)).fingerprint
        == load_tokenizer(write(tmp_path / "b", spec_of(bpe))).fingerprint
    )


def test_saving_and_loading_gives_the_same_tokenizer(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "t")
    again = load_tokenizer(tmp_path / "t")
    file = load_tokenizer(tmp_path / "t" / "tokenizer.json")
    assert again.fingerprint == file.fingerprint == tokenizer.fingerprint
    assert (again.max_length, again.vocab_size, again.mask_id) == (
        64,
        tokenizer.vocab_size,
        tokenizer.mask_id,
    )
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_fingerprints_tell_tokenizers_apart(wordpiece, unigram, bpe, bytelevel):
    assert len({t.fingerprint for t in (wordpiece, unigram, bpe, bytelevel)}) == 4


def test_truncation_and_padding_of_the_file_are_not_applied(bpe):
    spec = spec_of(bpe)
    spec["truncation"] = {
        "direction": "Right",
        "max_length": 3,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    pad = {"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None}
    spec["padding"] = {**pad, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}
    text = ["el niño comió en españa"]
    assert (
        parse_tokenizer(spec, source="t").text(text)[0].ids.tolist()
        == bpe.text(text)[0].ids.tolist()
    )


def test_an_id_outside_the_vocabulary_has_no_piece(bpe):
    with pytest.raises(TokenizerError, match="outside"):
        bpe.pieces_of([10**6])


def test_ids_of_pieces(bpe):
    assert (bpe.id_of("€"), bpe.id_of("nada de esto")) == (8, None)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {"type": "Ninguno"}}'])
def test_a_damaged_file_is_one_clear_error(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_says_what_was_looked_for(tmp_path):
    with pytest.raises(TokenizerError, match=r"vocab\.txt, spiece\.model"):
        load_tokenizer(tmp_path)


def test_a_missing_folder_is_an_error_before_any_network(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        load_tokenizer(tmp_path / "nada")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "bytelevel"])
def test_ids_types_and_frames_equal_transformers(request, tmp_path, lines, kind):
    from transformers import PreTrainedTokenizerFast

    tokenizer = request.getfixturevalue(kind)
    tokenizer.save(tmp_path)
    reference = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (reference.pad_token_id, reference.mask_token_id) == (
        tokenizer.pad_id,
        tokenizer.mask_id,
    )
    assert reference.model_max_length == tokenizer.max_length
    for a, b in pairwise(lines):
        one, two = tokenizer.text([a, b])
        single, pair = (reference(*texts, return_token_type_ids=True) for texts in ((a,), (a, b)))
        ids, types, _, _ = tokenizer.frame(one)
        assert (ids.tolist(), types.tolist()) == (single["input_ids"], single["token_type_ids"])
        ids, types, _, _ = tokenizer.frame(one, two)
        assert (ids.tolist(), types.tolist()) == (pair["input_ids"], pair["token_type_ids"])


def test_transformers_feeds_token_types_where_pairs_have_two(tmp_path, bpe, bytelevel):
    from transformers import PreTrainedTokenizerFast

    bpe.save(tmp_path / "a")
    bpe.save(tmp_path / "b", input_names=("input_ids", "attention_mask"))
    bytelevel.save(tmp_path / "c")
    keys = [
        list(PreTrainedTokenizerFast.from_pretrained(tmp_path / name)("a", "b")) for name in "abc"
    ]
    assert ["token_type_ids" in k for k in keys] == [True, False, False]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_words_equal_transformers_on_split_input(request, tmp_path, lines, kind):
    from transformers import PreTrainedTokenizerFast

    tokenizer = request.getfixturevalue(kind)
    tokenizer.save(tmp_path)
    reference = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for line in lines:
        words = split_words(line)
        loaded = np.concatenate([p.ids for p in tokenizer.words(line, words)]).tolist()
        split = [line[s:e] for s, e in words]
        assert (
            loaded
            == reference(split, is_split_into_words=True, add_special_tokens=False)["input_ids"]
        )


def test_the_starter_model_is_read_as_its_card_says():
    models = os.environ.get("DESTILA_MODELS")
    if not models or not (Path(models) / "mini-es").is_dir():
        pytest.skip("DESTILA_MODELS has no mini-es")
    tokenizer = load_tokenizer("mini-es")
    assert (
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    ) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert (tokenizer.vocab_size, tokenizer.max_length) == (16_000, 512)
    text = unicodedata.normalize("NFD", "El AÑO pasado\tno hacía\u00a0frío. 😀")
    check_spans(text, tokenizer.text([text])[0].spans)
