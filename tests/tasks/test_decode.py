"""From logits to predictions and to the objects that `destila predict` writes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from destila.tasks.decode import as_json, decode, labelled_spans
from destila.types import Example, Prediction

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def said(*labels: str, known: tuple[str, ...] = BIO, confidence: float = 0.6) -> Prediction:
    rest = (1 - confidence) / (len(known) - 1)
    rows = [[confidence if label == name else rest for name in known] for label in labels]
    return Prediction(labels, np.array(rows, np.float32))


def test_probabilities_are_the_softmax_of_the_logits():
    (prediction,) = decode([np.array([[0.0, np.log(3.0)], [1.0, 1.0]])], ["a", "b"])
    assert prediction.labels == ("b", "a")
    assert prediction.probabilities == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_large_logits_do_not_overflow():
    (prediction,) = decode([np.array([[1e4, -1e4]], np.float16)], ["a", "b"])
    assert prediction.probabilities.tolist() == [[1.0, 0.0]]


def test_an_example_without_units_has_no_labels():
    (prediction,) = decode([np.zeros((0, 3))], ["a", "b", "c"])
    assert prediction.labels == ()
    assert prediction.probabilities.shape == (0, 3)


def test_entities_join_their_words_and_average_their_probabilities():
    words = ((0, 2), (3, 8), (9, 14), (15, 21))
    prediction = Prediction(("O", "B-PER", "I-PER", "B-LOC"), np.full((4, 5), 0.2, np.float32))
    prediction.probabilities[1, 1], prediction.probabilities[2, 2] = 0.9, 0.7
    assert labelled_spans(words, prediction, BIO) == [
        ((3, 14), "PER", pytest.approx(0.8)),
        ((15, 21), "LOC", pytest.approx(0.2)),
    ]


def test_labels_that_are_not_bio_give_one_span_per_word():
    words = ((0, 2), (3, 7))
    found = labelled_spans(words, said("DET", "NOUN", known=("DET", "NOUN")), ("DET", "NOUN"))
    assert [(span, label) for span, label, _ in found] == [((0, 2), "DET"), ((3, 7), "NOUN")]


def test_offsets_are_code_points_of_the_text_whatever_stands_before():
    text = "👩‍👧 José e Íñigo, en A Coruña 🙂"
    words = tuple(
        (text.index(w), text.index(w) + len(w)) for w in ("José", "e", "Íñigo", "en", "A", "Coruña")
    )
    found = as_json(
        Example("7", text, words=words),
        said("B-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"),
        BIO,
        "tag",
    )
    assert list(found) == ["id", "text", "spans"]
    assert [list(span) for span in found["spans"]] == [
        ["start", "end", "label", "text", "probability"]
    ] * 3
    assert [(s["text"], s["label"]) for s in found["spans"]] == [
        ("José", "PER"),
        ("Íñigo", "PER"),
        ("A Coruña", "LOC"),
    ]
    assert all(found["text"][s["start"] : s["end"]] == s["text"] for s in found["spans"])
    assert json.loads(json.dumps(found)) == found


def test_a_decomposed_accent_counts_as_its_own_code_point():
    text = "Jose\u0301 come"
    (span,) = as_json(Example("0", text, words=((0, 5), (6, 10))), said("B-PER", "O"), BIO, "tag")[
        "spans"
    ]
    assert (span["start"], span["end"], span["text"]) == (0, 5, "Jose\u0301")


def test_a_classification_lists_every_probability_by_label():
    found = as_json(
        Example("1", "hola"),
        said("sí", known=("no", "sí"), confidence=0.75),
        ("no", "sí"),
        "classify",
    )
    assert found == {
        "id": "1",
        "text": "hola",
        "label": "sí",
        "probabilities": {"no": 0.25, "sí": 0.75},
    }


def test_a_pair_is_repeated_in_the_answer():
    found = as_json(
        Example("1", "a", pair="b"), said("no", known=("no", "sí")), ("no", "sí"), "classify"
    )
    assert found["pair"] == "b"
