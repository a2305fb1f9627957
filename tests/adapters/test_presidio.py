"""The recogniser in the real presidio, on a blank spaCy pipeline."""

from __future__ import annotations

import pytest

import destila
from destila.errors import ModelError
from tests.adapters.conftest import LONG

presidio = pytest.importorskip("presidio_analyzer")
from destila.adapters.presidio import DestilaRecognizer, blank_engine  # noqa: E402


def analyzer(recognizer):
    registry = presidio.RecognizerRegistry(supported_languages=["es"])
    registry.add_recognizer(recognizer)
    return presidio.AnalyzerEngine(
        registry=registry, nlp_engine=blank_engine(), supported_languages=["es"]
    )


def test_entities_are_found_under_the_names_of_presidio(folder_of):
    """At the places, and with the scores, that the model gives."""
    folder = folder_of("tag")
    engine = analyzer(DestilaRecognizer(str(folder)))
    assert set(engine.get_supported_entities("es")) == {"PERSON", "LOCATION"}

    names = {"PER": "PERSON", "LOC": "LOCATION"}
    said = destila.load(folder).predict(LONG).spans
    results = engine.analyze(LONG, language="es")
    assert len(said) > 2
    assert {(r.entity_type, r.start, r.end, r.score) for r in results} == {
        (names[s.label], s.start, s.end, s.probability) for s in said
    }
    kind = results[0].entity_type
    only = engine.analyze(LONG, language="es", entities=[kind])
    assert {r.start for r in only} == {r.start for r in results if r.entity_type == kind}


def test_labels_may_be_chosen_and_renamed(folder_of):
    recognizer = DestilaRecognizer(
        str(folder_of("tag")), entities={"PER": "NOMBRE"}, min_probability=0.2
    )
    assert recognizer.supported_entities == ["NOMBRE"]
    results = recognizer.analyze(LONG, [])
    assert {r.entity_type for r in results} == {"NOMBRE"}
    assert all(r.score >= 0.2 for r in results)
    assert "says PER" in results[0].analysis_explanation.textual_explanation


def test_a_blank_text_has_no_entities(folder_of):
    engine = analyzer(DestilaRecognizer(str(folder_of("tag"))))
    assert engine.analyze("", language="es") == []
    assert engine.analyze(" \n", language="es") == []


def test_models_and_labels_that_do_not_fit_are_refused(folder_of):
    with pytest.raises(ModelError, match="finds no entities"):
        DestilaRecognizer(str(folder_of("classify")))
    with pytest.raises(ModelError, match="has no label 'ORG': it has PER, LOC"):
        DestilaRecognizer(str(folder_of("tag")), entities={"ORG": "ORGANIZATION"})
