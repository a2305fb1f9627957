"""Older vocabulary files give the pieces that their own libraries give."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sentencepiece

from destila.errors import TokenizerError
from destila.tokenizer import sentencepiece as spiece
from destila.tokenizer.tokenizer import load_tokenizer

SENTENCES = [
    "El niño comió en España, año nuevo; hacía frío.",
    "¡HOLA!  ¿Qué tal\testás, José? (bien) - sí – no",
    "Cuesta 3,5 € o £4 en Perú – dijo 日本.",
    "  La canción más bonita:   ñandúes, pingüinos y cigüeñas ",
    "pre-nuevo 12:30 [etc.]… «Luis Ángel» ½ ﬁn",
]


def train_spiece(
    folder: Path, lines: list[str], **options: object
) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model in ALBETO's layout written to folder/spiece.model."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3),
        model_writer=stream,
        **{
            "vocab_size": 220,
            "pad_id": 0,
            "unk_id": 1,
            "bos_id": -1,
            "eos_id": -1,
            "pad_piece": "<pad>",
            "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
            "user_defined_symbols": ["-", "–", "£", "€"],
            "character_coverage": 1.0,
            "hard_vocab_limit": False,
            "minloglevel": 2,
            "num_threads": 1,
            **options,
        },
    )
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "spiece.model").write_bytes(stream.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=stream.getvalue())


@pytest.fixture(scope="module")
def vocab_txt(lines) -> list[str]:
    """A lower-case BERT vocabulary with accents, in BETO's order."""
    letters = sorted({c for line in lines for c in line.lower() if not c.isspace()})
    words = ["niño", "año", "ano", "el", "hacía", "hacia", "la"]
    return [
        "[MASK]",
        "[PAD]",
        "[EOS]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *letters,
        *(f"##{c}" for c in letters),
        *words,
    ]


def write_vocab(folder: Path, vocab: list[str], config: dict | None = None) -> Path:
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("rule", ["nmt_nfkc", "nmt_nfkc_cf", "identity"])
def test_spiece_models_cut_text_as_sentencepiece_does(tmp_path, lines, kind, rule):
    reference = train_spiece(tmp_path, lines, model_type=kind, normalization_rule_name=rule)
    loaded = load_tokenizer(tmp_path)
    assert loaded.vocab_size == reference.get_piece_size()
    assert (loaded.pad_id, loaded.unk_id, loaded.cls_id, loaded.sep_id, loaded.mask_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    for sentence in SENTENCES + lines:
        if rule == "identity":
            sentence = sentence.replace(
                "\t", " "
            )  # we read it as a blank, SentencePiece as an unknown character
        assert loaded.text([sentence])[0].ids.tolist() == reference.encode(sentence)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_spans_survive_the_compiled_rules_of_a_spiece_model(tmp_path, lines, kind):
    train_spiece(tmp_path, lines, model_type=kind)
    text = "  El AN\u0303O\u00a0ﬁn,   an\u0303o 😀"
    spans = load_tokenizer(tmp_path).text([text])[0].spans.tolist()
    assert {i for s, e in spans for i in range(s, e)} == {
        i for i, c in enumerate(text) if not c.isspace()
    }
    assert not any(c.isspace() for s, e in spans for c in text[s:e])


def test_a_spiece_model_of_small_letters_keeps_accents(tmp_path, lines):
    """A lower-case spiece model lower-cases and keeps accents by itself."""
    reference = train_spiece(tmp_path, [line.lower() for line in lines], model_type="bpe")
    loaded = load_tokenizer(tmp_path)
    assert loaded.text(["El NIÑO HACÍA"])[0].ids.tolist() == reference.encode("el niño hacía")
    assert loaded.unk_id not in loaded.text(["UN AÑO"])[0].ids


def test_keep_accents_of_the_folder_decides_for_a_spiece_model(tmp_path, lines):
    train_spiece(tmp_path, [line.lower() for line in lines], model_type="bpe")
    flags = {"do_lower_case": True, "keep_accents": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(flags))
    one, other = load_tokenizer(tmp_path).text(["año", "ano"])
    assert one.ids.tolist() != other.ids.tolist()
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(flags | {"keep_accents": False}))
    stripping = load_tokenizer(tmp_path)
    one, other = stripping.text(["AÑO", "ano"])
    assert one.ids.tolist() == other.ids.tolist()
    assert "accents" in stripping.notes[0]


def test_wrong_flags_do_not_make_capitals_unknown(tmp_path, lines):
    """The wrong flags of the first ALBETO runs do no harm."""
    train_spiece(tmp_path, [line.lower() for line in lines], model_type="bpe")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"do_lower_case": false, "keep_accents": false}'
    )
    loaded = load_tokenizer(tmp_path)
    assert loaded.unk_id not in loaded.text(["EL NIÑO Comió"])[0].ids


def test_user_symbols_of_several_characters_stay_whole(tmp_path, lines):
    for kind in ("bpe", "unigram"):
        reference = train_spiece(
            tmp_path, lines, model_type=kind, user_defined_symbols=["<url>", "-"]
        )
        sentence = "mira <url> y el-niño"
        assert load_tokenizer(tmp_path).text([sentence])[0].ids.tolist() == reference.encode(
            sentence
        )


def test_without_dummy_prefix_words_are_marked_when_asked(tmp_path, lines):
    """A spiece model without dummy prefix marks the start of words only when it is asked to."""
    reference = train_spiece(tmp_path, lines, model_type="bpe", add_dummy_prefix=False)
    loaded = load_tokenizer(tmp_path)
    assert loaded.text(["el niño"])[0].ids.tolist() == reference.encode("el niño")
    assert loaded.pieces_of(loaded.words("el", [(0, 2)])[0].ids)[0].startswith("▁")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_accents_of_decomposed_capitals_are_kept(tmp_path, lines, kind):
    """A model whose rules lower-case reads Ñ as one character and as two alike, as its library does."""
    options = {"model_type": kind, "normalization_rule_name": "nmt_nfkc_cf", "vocab_size": 300}
    reference = train_spiece(tmp_path, lines, **options)
    loaded = load_tokenizer(tmp_path, lowercase=False)
    for text in ("NIN\u0303O", "CANCIO\u0301N A\u0301RBOL", "El nin\u0303o", "a\u0301\u0302"):
        assert loaded.text([text])[0].ids.tolist() == reference.encode(text)
    composed, split = loaded.text(["EL NIÑO", "EL NIN\u0303O"])
    assert composed.ids.tolist() == split.ids.tolist()
    assert split.spans[-1, 1] == 8

    # Rules that keep the case need no such step, so that their tokenizers stay what they were.
    train_spiece(tmp_path / "plain", lines, model_type=kind)
    steps = load_tokenizer(tmp_path / "plain").content()[0]["normalizer"]["normalizers"]
    assert "NFC" not in {step["type"] for step in steps}


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("rules", ["nmt_nfkc", "identity"])
def test_blanks_at_the_start_are_kept_by_who_keeps_blanks(tmp_path, lines, kind, rules):
    """`remove_extra_whitespaces = false`: a text has the mark of its start before them."""
    options = {"normalization_rule_name": rules, "remove_extra_whitespaces": False}
    reference = train_spiece(tmp_path, lines, model_type=kind, **options)
    loaded = load_tokenizer(tmp_path)
    for text in (" hola", "  el  niño ", "hola", "", " "):
        assert loaded.text([text])[0].ids.tolist() == reference.encode(text)
    first = loaded.words("yo el", [(0, 2), (3, 5)])[1]
    assert first.ids.tolist() == reference.encode("el")


def test_quotes_of_two_characters_have_both_in_their_span(tmp_path, lines):
    train_spiece(tmp_path, [*lines, 'dijo "hola" y "adiós"'], model_type="unigram")
    loaded = load_tokenizer(tmp_path)
    text = "``hola'' dijo 'a'"
    spans = {
        piece: tuple(span)
        for piece, span in zip(
            loaded.pieces_of(loaded.text([text])[0].ids),
            loaded.text([text])[0].spans.tolist(),
            strict=True,
        )
        if '"' in piece
    }
    assert set(spans.values()) == {(0, 2), (6, 8)}


def test_pieces_of_a_spiece_model_across_blanks_are_never_used(tmp_path, lines):
    train_spiece(
        tmp_path, ["de la casa"] * 50, model_type="bpe", split_by_whitespace=False, vocab_size=40
    )
    loaded = load_tokenizer(
        tmp_path
    )  # our reader splits at blanks, so its pieces across blanks are never used
    assert all(
        " " not in "de la casa"[s:e] for s, e in loaded.text(["de la casa"])[0].spans.tolist()
    )


@pytest.mark.parametrize("damage", [b"", b"esto no es un modelo", b"\x0a\xff\xff\x01abc", b"\x0b"])
def test_a_damaged_spiece_model_is_one_clear_error(tmp_path, damage):
    (tmp_path / "spiece.model").write_bytes(damage)
    with pytest.raises(TokenizerError, match=r"spiece\.model"):
        load_tokenizer(tmp_path)


def test_a_truncated_spiece_model_is_one_clear_error(tmp_path, lines):
    train_spiece(tmp_path, lines, model_type="bpe")
    data = (tmp_path / "spiece.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(data[:-3])
    with pytest.raises(TokenizerError, match="damaged"):
        spiece.read_sentencepiece(tmp_path / "spiece.model")


def test_word_models_of_sentencepiece_are_refused(tmp_path, lines):
    train_spiece(tmp_path, lines, model_type="char")
    with pytest.raises(TokenizerError, match="only Unigram and BPE"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "flags",
    [
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": True, "strip_accents": True},
        {"do_lower_case": True},
    ],
)
def test_vocab_txt_gives_the_ids_of_berts_own_rules(tmp_path, vocab_txt, lines, flags):
    from transformers import BertTokenizer

    reference = BertTokenizer(vocab={piece: i for i, piece in enumerate(vocab_txt)}, **flags)
    loaded = load_tokenizer(write_vocab(tmp_path, vocab_txt, flags))
    for line in lines + SENTENCES:
        expected = reference(line, add_special_tokens=False)["input_ids"]
        assert loaded.text([line])[0].ids.tolist() == expected
    assert (loaded.pad_id, loaded.mask_id) == (1, 0)


def test_vocab_txt_keeps_accents_apart_when_told_so(tmp_path, vocab_txt):
    loaded = load_tokenizer(
        write_vocab(tmp_path, vocab_txt, {"do_lower_case": True, "strip_accents": False})
    )
    assert loaded.pieces_of(loaded.text(["AÑO ano HACÍA hacia"])[0].ids) == [
        "año",
        "ano",
        "hacía",
        "hacia",
    ]


def test_vocab_txt_without_flags_follows_its_vocabulary(tmp_path, vocab_txt, caplog):
    """Without flags a vocab.txt lower-cases when its vocabulary does."""
    loaded = load_tokenizer(write_vocab(tmp_path, vocab_txt))
    assert loaded.unk_id not in loaded.text(["EL NIÑO"])[0].ids
    assert "keep_accents" in caplog.text  # BERT's own rule strips; it is said aloud
    kept = load_tokenizer(tmp_path, keep_accents=True)
    assert kept.pieces_of(kept.text(["AÑO"])[0].ids) == ["año"]


def test_vocab_txt_with_capitals_and_no_flags_stays_cased(tmp_path, vocab_txt):
    loaded = load_tokenizer(write_vocab(tmp_path, [*vocab_txt, "Madrid", "A", "##B"]))
    assert loaded.pieces_of(loaded.text(["Madrid año"])[0].ids) == ["Madrid", "año"]


def test_vocab_txt_without_a_special_token_names_it(tmp_path, vocab_txt):
    write_vocab(tmp_path, [p for p in vocab_txt if p != "[PAD]"])
    with pytest.raises(TokenizerError, match=r"vocab\.txt has no pad token"):
        load_tokenizer(tmp_path)


def test_vocab_txt_in_another_encoding_is_one_clear_error(tmp_path, vocab_txt):
    (tmp_path / "vocab.txt").write_bytes("\n".join(vocab_txt).encode("utf-16"))
    with pytest.raises(TokenizerError, match="not UTF-8: byte 0"):
        load_tokenizer(tmp_path)


def test_an_empty_vocab_txt_is_one_clear_error(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n")
    with pytest.raises(TokenizerError, match="is empty"):
        load_tokenizer(tmp_path)


def test_vocab_json_and_merges_equal_their_tokenizer_json(tmp_path, bytelevel, lines):
    model = json.loads(bytelevel._json)["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    loaded = load_tokenizer(tmp_path)
    for one, other in zip(loaded.text(lines), bytelevel.text(lines), strict=True):
        assert one.ids.tolist() == other.ids.tolist()
    a, b = loaded.text(["el", "la"])
    assert loaded.frame(a, b)[0].tolist() == bytelevel.frame(a, b)[0].tolist()


def test_a_damaged_vocab_json_is_one_clear_error(tmp_path):
    (tmp_path / "vocab.json").write_text("{")
    (tmp_path / "merges.txt").write_text("#version\n")
    with pytest.raises(TokenizerError, match="not valid JSON"):
        load_tokenizer(tmp_path)


def test_a_converted_folder_saves_as_a_fast_one(tmp_path, vocab_txt, lines):
    first = load_tokenizer(
        write_vocab(tmp_path, vocab_txt, {"do_lower_case": True, "strip_accents": False})
    )
    first.save(tmp_path / "new")
    assert load_tokenizer(tmp_path / "new").fingerprint == first.fingerprint
