"""EAGLES -> universal tags, and the treebank's tokens -> UD's words."""

from __future__ import annotations

import pytest

from destila.datasets._eagles import Leaf, lexicon, ud_words, upos, written_words

KNOWN = {"de": "ADP", "la": "DET", "pesar": "VERB", "ya": "ADV"}


@pytest.mark.parametrize(
    ("tag", "form", "expected"),
    [
        ("np00000", "Ana", "PROPN"),
        ("ncms000", "grupo", "NOUN"),
        ("vmis3s0", "anunció", "VERB"),
        ("vsip3s0", "es", "AUX"),
        ("vaip3s0", "ha", "AUX"),
        ("aq0cs0", "estatal", "ADJ"),
        ("da0ms0", "el", "DET"),
        ("da0ns0", "lo", "PRON"),
        ("dn0cp0", "cinco", "NUM"),
        ("pr0cn000", "que", "PRON"),
        ("pn0cp000", "dos", "NUM"),
        ("cc", "y", "CCONJ"),
        ("cs", "que", "SCONJ"),
        ("rg", "hoy", "ADV"),
        ("sps00", "de", "ADP"),
        ("Fc", ",", "PUNCT"),
        ("Z", "16", "NUM"),
        ("Zm", "pesetas", "NOUN"),
        ("W", "jueves", "NOUN"),
        ("i", "ay", "INTJ"),
        ("X", "raro", "X"),
    ],
)
def test_each_eagles_class_has_its_universal_tag(tag, form, expected):
    assert upos(Leaf(tag, form, form)) == expected


def test_modal_verbs_are_auxiliaries_and_ir_only_before_a_verb():
    ir = Leaf("vmip3s0", "va", "ir")
    a, reach = Leaf("sps00", "a", "a"), Leaf("vmn0000", "llegar", "llegar")
    assert upos(Leaf("vmip3s0", "puede", "poder")) == "AUX"
    assert upos(ir, [a, reach]) == "AUX"
    assert upos(ir, [a, Leaf("np00000", "Lugo", "Lugo")]) == "VERB"


def test_bracket_codes_are_brackets_and_underscores_part_words():
    assert [
        written_words("-Fpa-"),
        written_words("-Fpt-"),
        written_words("a_pesar_de"),
        written_words("_"),
    ] == [
        ["("],
        [")"],
        ["a", "pesar", "de"],
        ["_"],
    ]


def test_contractions_are_two_words():
    assert ud_words([Leaf("spcms", "Del", "del")], {}) == [("Del", ("ADP", "DET"))]


@pytest.mark.parametrize(
    ("tag", "form", "expected"),
    [
        ("vmn0000", "celebrarlos", ("VERB", "PRON")),
        ("vmg0000", "dándosela", ("VERB", "PRON", "PRON")),
        ("van0000", "haberse", ("AUX", "PRON")),
        ("vmn0000", "comer", ("VERB",)),
        ("vmm03s0", "hable", ("VERB",)),
    ],
)
def test_clitics_of_infinitives_and_gerunds_are_words(tag, form, expected):
    assert ud_words([Leaf(tag, form, "x")], {}) == [(form, expected)]


def test_parts_of_names_are_names_but_for_function_words():
    tagged_words = ud_words([Leaf("np00000", "Consejo_de_la_Moda", "x")], KNOWN)
    assert tagged_words == [
        ("Consejo", ("PROPN",)),
        ("de", ("ADP",)),
        ("la", ("DET",)),
        ("Moda", ("PROPN",)),
    ]


def test_parts_of_multiword_tokens_have_their_own_tags():
    """Parts of other multiword tokens get the tag that they have alone."""
    assert ud_words([Leaf("cs", "ya_que", "ya_que")], KNOWN) == [
        ("ya", ("ADV",)),
        ("que", ("SCONJ",)),
    ]
    assert ud_words([Leaf("Zp", "51_por", "x")], {"por": "ADP"}) == [
        ("51", ("NUM",)),
        ("por", ("ADP",)),
    ]


def test_a_contraction_in_a_multiword_token_is_two_words():
    assert ud_words([Leaf("np00000", "Copa_del_Rey", "x")], KNOWN)[1] == ("del", ("ADP", "DET"))


def test_the_lexicon_has_the_most_frequent_tags():
    """They are those of forms that stand alone."""
    sentence = [
        Leaf("ncms000", "Bajo", "bajo"),
        Leaf("sps00", "bajo", "bajo"),
        Leaf("sps00", "bajo", "bajo"),
    ]
    assert lexicon([sentence, [Leaf("rg", "ya_no", "ya_no")]]) == {"bajo": "ADP"}
