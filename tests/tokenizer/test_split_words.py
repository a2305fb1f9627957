"""Words of raw Spanish text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.tokenizer.split_words import split_words

CASES = [
    ("¿Qué tal, Sr. Pérez?", "¿|Qué|tal|,|Sr.|Pérez|?"),
    ("¡Hola! «Sí» … ", "¡|Hola|!|«|Sí|»|…"),
    ("El 3,5 % de 1.000 a las 12:30.", "El|3,5|%|de|1.000|a|las|12:30|."),
    ("Ganó 6-2, 3-6...", "Ganó|6-2|,|3-6|..."),
    ("Vive en EE.UU. con J. L. Borges.", "Vive|en|EE.UU.|con|J.|L.|Borges|."),
    ("Plan A.", "Plan|A|."),
    ("la Dra. Ruiz, pág. 4, etc.", "la|Dra.|Ruiz|,|pág.|4|,|etc."),
    ("Escribe a ana.paz@uni.edu.mx.", "Escribe|a|ana.paz@uni.edu.mx|."),
    ("Mira https://www.x.es/a?b=1, o www.y.com.", "Mira|https://www.x.es/a?b=1|,|o|www.y.com|."),
    ("político-económico y/o ex-ministro", "político-económico|y|/|o|ex-ministro"),
    ("@ana #año2020", "@ana|#año2020"),
    ("el 1.º y la 2ª", "el|1.º|y|la|2ª"),
    ("COVID-19 4x4 5G", "COVID-19|4x4|5G"),
    ("—dijo—", "—|dijo|—"),
    ("Nin\u0303o e\u0301l", "Nin\u0303o|e\u0301l"),
    ("👩‍👩‍👧🇪🇸👍🏽", "👩‍👩‍👧|🇪🇸|👍🏽"),
    ("a\u00a0b\tc\nd", "a|b|c|d"),
    ("", ""),
    (" \n", ""),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_words_are_split_as_a_reader_would(text, expected):
    assert "|".join(text[s:e] for s, e in split_words(text)) == expected


@given(st.text(max_size=60))
def test_every_visible_character_lies_in_one_word(text):
    """Every visible character of any text lies in exactly one word."""
    spans = split_words(text)
    covered = [i for s, e in spans for i in range(s, e)]
    assert covered == [i for i, c in enumerate(text) if not c.isspace()]


@pytest.mark.parametrize("unit", ["a", "a.", ".-", "1.", "a@", "á-", "www.", "👩\u200d", "\u0301"])
def test_long_runs_do_not_take_long(unit):
    start = time.perf_counter()
    split_words(unit * 30_000)
    assert time.perf_counter() - start < 2
