"""Texts in another case: characters stay where they are, whatever the language makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destila.tasks.case import CASES, change_case
from destila.types import Example


@pytest.mark.parametrize(
    ("case", "text"),
    [("capitals", "LA ÑUSTA VIVE EN CÁDIZ"), ("lower_case", "la ñusta vive en cádiz")],
)
def test_words_and_labels_stay_in_their_places(case, text):
    example = Example(
        "a", "La Ñusta vive en Cádiz", words=((3, 8), (17, 22)), target=("B-PER", "B-LOC")
    )
    (changed,) = change_case([example], case)
    assert changed.text == text
    assert (changed.words, changed.target, changed.id) == (example.words, example.target, "a")


@given(st.text(max_size=30), st.sampled_from(sorted(CASES)))
def test_every_character_stays_one_character(text, case):
    (changed,) = change_case([Example("a", text)], case)
    assert len(changed.text) == len(text)


def test_what_would_become_two_characters_stays():
    (changed,) = change_case([Example("a", "la Straße")], "capitals")
    assert changed.text == "LA STRAßE"
