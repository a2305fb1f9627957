"""Spanish sentences: where they end and where they only seem to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.tokenizer.split_sentences import split_sentences

CASES = [
    ["El Sr. Pérez llegó con la Dra. Gil.", "¿Por qué?", "¡Nadie lo sabe!", "Fin."],
    ["Vive en EE. UU. desde 1998.", "Allí nació."],
    ["Lo decidió EE. UU.", "El presidente calló."],
    ["—¡Ven! —dijo ella.", "—No quiero —contestó él…", "—¿Y tú?"],
    ["Costó 3.500 pesos.", "25 personas lo vieron."],
    ["Véase p. ej. García, art. 5, pág. 7 y núm. 8."],
    ["J. L. Borges nació en Buenos Aires.", "Murió en Ginebra."],
    ["«¡Vete!»", "Y se fue.", "«No quiero», dijo."],
    ["Bueno… no sé… quizá.", "Tal vez..."],
    ["1. Primero se mezcla.", "Luego se hornea."],
    ["Le falta vitamina C.", "El limón la tiene."],
    ["Tomó café, té, etc.", "Luego durmió."],
    ["Fue el año 44 a. C. en Roma."],
    ["Dijo que no.", "Luego leyó el No. 5 de la revista."],
    ["(Risas.)", "Gracias."],
    ["Dijo: «Ven.»", "Luego calló."],
    ["¿Cómo estás?", "¿Bien?", "¡Ánimo!"],
    ["Eligió la opción b.", "Ganó."],
    ["Sin punto final"],
]


@pytest.mark.parametrize("sentences", CASES, ids=lambda s: s[0])
def test_sentences_end_where_they_do(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


def test_an_empty_line_has_none():
    assert split_sentences("") == split_sentences("  ") == []


@given(st.text(alphabet="aÁ.¿?!…—«» 1D", max_size=60))
def test_no_character_is_lost(text):
    line = " ".join(text.split())
    assert " ".join(split_sentences(line)) == line


def test_a_page_of_leaders_is_no_work():
    leaders = "Capítulo 1 " + "." * 1_000_000 + "3"  # hours, if every dot were tried as the first
    assert split_sentences(leaders) == [leaders]
