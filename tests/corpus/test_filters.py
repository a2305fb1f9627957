"""What stays in a corpus and why the rest goes."""

from __future__ import annotations

import pytest

from destila.corpus.filters import Filters, reason_to_drop

SPANISH = (
    "El niño que vive en la casa de la esquina no quiso comer con los demás porque tenía sueño."
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([SPANISH], None),
        (["Hola a todos."], "short"),
        ([], "short"),
        (
            ["The boy who lives in the house around the corner did not want to eat with them all."],
            "foreign",
        ),
        (["El 12 34 56 78 90 12 34 de 56 78 90 12 34 la 56 78 90"], "few_letters"),
        ([SPANISH, "Volver arriba", "Volver arriba", "Volver arriba"], "repeated_lines"),
        ([SPANISH.upper()], None),
    ],
)
def test_a_document_stays_or_goes_for_a_reason(lines, expected):
    assert reason_to_drop(lines, Filters()) == expected


def test_every_filter_can_be_switched_off():
    off = Filters(min_words=0, min_function_words=0, min_letters=0, max_repeated_lines=1)
    assert reason_to_drop(["12 12"] * 9, off) is None
    assert reason_to_drop([], off) == "short", "nothing is left to keep"
