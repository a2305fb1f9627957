"""The models of `destila-es`: known by name after the set-up, offline, small, and worth believing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import destila
from destila.hub import installed_folder
from tests.rules.conftest import ROOT

MAX_BYTES = 8e6

ENTITIES = {
    "Rafael Nadal entrenará en Mallorca antes de viajar a París.": {
        ("Rafael Nadal", "PER"),
        ("Mallorca", "LOC"),
        ("París", "LOC"),
    },
    "La Comisión Europea multó ayer a Telefónica, según informó EFE desde Bruselas.": {
        ("Comisión Europea", "ORG"),
        ("Telefónica", "ORG"),
        ("EFE", "ORG"),
        ("Bruselas", "LOC"),
    },
}


@pytest.mark.parametrize("name", ["es-ner", "es-pos"])
def test_a_model_is_small_and_says_its_terms(name):
    folder = installed_folder(name)
    assert folder is not None, "pip install ./destila-es"
    assert (folder / "model.onnx").stat().st_size <= MAX_BYTES
    assert "CoNLL-2002" in (ROOT / "destila-es/LICENSE").read_text()


@pytest.mark.parametrize("text", ENTITIES)
def test_entities_are_those_a_reader_would_mark(text):
    spans = destila.load("es-ner").predict(text).spans
    assert {(text[span.start : span.end], span.label) for span in spans} == ENTITIES[text]


def test_parts_of_speech_are_those_of_a_grammar():
    tags = [span.label for span in destila.load("es-pos").predict("Ella no vio la carta.").spans]
    assert tags == ["PRON", "ADV", "VERB", "DET", "NOUN", "PUNCT"]


def test_capitals_are_read(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = "EL PRESIDENTE DE MÉXICO VIAJA A MADRID"
    spans = destila.load("es-ner").predict(text).spans
    assert {text[span.start : span.end] for span in spans} >= {"MÉXICO", "MADRID"}


def test_nothing_of_torch_is_loaded():
    code = (
        "import sys, destila; destila.load('es-ner').predict('Hola'); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"
