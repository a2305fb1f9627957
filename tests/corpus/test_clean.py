"""Cleaning in the published order, with the published faults by option only."""

from __future__ import annotations

import pytest

from destila.corpus.clean import Clean, clean_line, clean_lines

SUC = Clean()
PUBLISHED = Clean(lowercase=True, published_urls=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Véase https://es.wikipedia.org/wiki/A_(b)?x=1#y, y también www.bne.es.",
            "Véase , y también .",
        ),
        ("Escriba a maria.gil@correo.com.ar o mire ejemplo.com/ruta hoy", "Escriba a o mire hoy"),
        ("Llegó el fin.Luego vino rae.es/dpd y el resto.", "Llegó el fin.Luego vino y el resto."),
        (
            "El archivo se llama datos.txt y pesa 3.5 MB.",
            "El archivo se llama datos.txt y pesa 3.5 MB.",
        ),
        ("- Pan\t y   leche ", "Pan y leche"),
        ("12.- Tercera cláusula", "Tercera cláusula"),
        ("a. primera opción", "primera opción"),
        ("A. Machado escribió", "A. Machado escribió"),
        ("1998 fue un año", "1998 fue un año"),
        ("—Ven —dijo", "—Ven —dijo"),
        ("...", ""),
    ],
)
def test_the_preset_deletes_addresses_and_list_marks(line, expected):
    assert clean_line(line, SUC) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Llegó el fin.Luego vino Ana", "llegó el vino ana"),
        ("A. Machado escribió", "machado escribió"),
        ("Visite HTTP://EJEMPLO.COM/X ya", "visite ya"),
        (".com y ..a.bb y a/.", ".com y y a/."),
    ],
)
def test_the_published_rules_are_there_by_option(line, expected):
    assert clean_line(line, PUBLISHED) == expected


def test_none_only_collapses_blanks():
    assert clean_line(" - Mire  http://a.es ", Clean(preset="none")) == "- Mire http://a.es"


def test_lines_that_become_empty_are_dropped():
    assert clean_lines(["http://a.es/b", "Hola", "- "], SUC) == ["Hola"]


def test_a_long_run_without_an_address_is_no_work():
    line = (
        "a" * 300_000 + " y " + "1." * 300_000
    )  # hours, if every character were tried as the first
    assert clean_line(line, PUBLISHED) == line
