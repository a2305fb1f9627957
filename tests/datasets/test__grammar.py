from __future__ import annotations

import random

import pytest

from destila.datasets._grammar import Grammar, Sentence, careless, distinct, sentence_key
from destila.errors import DataError


def write(alternative: str, **rules: str) -> Sentence:
    return Grammar(
        {"frase": (alternative,)} | {name: (text,) for name, text in rules.items()}
    ).write("frase", random.Random(0))


@pytest.mark.parametrize(
    ("alternative", "expected"),
    [
        ("el plazo de {r}", "El plazo del recibo"),
        ("voy a {r}", "Voy al recibo"),
        ("según {r}", "Según el recibo"),
        ("Ana y {i}", "Ana e Inés"),
        ("agua y {h}", "Agua y hielo"),
        ("uno o {o}", "Uno u otro"),
        ("¿{i}? ¡no! quizá", "¿Inés? ¡No! Quizá"),
    ],
)
def test_words_join_as_spanish_wants(alternative: str, expected: str) -> None:
    assert write(alternative, r="el recibo", i="Inés", h="hielo", o="otro").text == expected


def test_an_entity_is_marked_where_it_ends_up_after_contraction() -> None:
    sentence = write(
        "viene de el {ORG:club} y {PER:quien}.",
        club="Club de {sitio}",
        sitio="Ávila",
        quien="Íñigo",
    )
    entities = [(sentence.text[start:end], kind) for (start, end), kind in sentence.entities]
    assert entities == [("Club de Ávila", "ORG"), ("Íñigo", "PER")]


def test_a_form_agrees_with_what_its_slot_drew() -> None:
    grammar = Grammar({"frase": ("{cosa}: pága{cosa.1}",), "cosa": ("la multa|la", "el recibo|lo")})
    rng = random.Random(3)
    assert {grammar.write("frase", rng).text for _ in range(20)} == {
        "La multa: págala",
        "El recibo: págalo",
    }


def test_numbered_slots_draw_different_alternatives() -> None:
    grammar = Grammar({"frase": ("{n} {n2} {n3}",), "n": ("a", "b", "c")})
    rng = random.Random(0)
    assert all(
        sorted(grammar.write("frase", rng).text.lower().split()) == ["a", "b", "c"]
        for _ in range(20)
    )


def test_kept_alternatives_occur_only_in_their_own_split() -> None:
    grammar = Grammar({"frase": tuple("abcdefgh")}, held=frozenset({"frase"}))
    rng = random.Random(0)
    drawn = {
        s: {grammar.write("frase", rng, split=s).text for _ in range(200)}
        for s in ("train", "dev", "test")
    }
    assert drawn["dev"] - drawn["train"] == {"D"}
    assert drawn["test"] - drawn["train"] == {"H"}
    assert drawn["train"] == set("ABCEFG")


def test_typing_in_a_hurry_keeps_only_the_ene() -> None:
    """Accents and capitals are dropped."""
    sentence = careless(
        Sentence((("¿Mañana llegará ", None), ("Íñigo", "PER"), ("?", None))),
        random.Random(0),
        slips=0,
    )
    assert sentence.text == "mañana llegara iñigo?"
    assert sentence.entities == (((15, 20), "PER"),)


def test_slips_change_words() -> None:
    sentence = Sentence((("necesito pagar mañana", None),))
    assert careless(sentence, random.Random(0), slips=1).text != sentence.text


def test_case_accents_and_marks_do_not_tell_sentences_apart() -> None:
    assert sentence_key("¿Llegó Ana?") == sentence_key("llego ana")


def test_a_grammar_that_has_run_dry_says_so() -> None:
    grammar = Grammar({"frase": ("uno", "dos")})
    rng = random.Random(0)
    with pytest.raises(DataError, match="no new sentence after 2: ask for fewer"):
        list(distinct(lambda: ("x", grammar.write("frase", rng)), 3, set()))
